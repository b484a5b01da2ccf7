"""Which region and which URL: the account's own fields, then the SDK's variables, then AWS's rules."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlsplit

from tailrace import Misconfigured
from tailrace_kinesis.addresses import check_endpoint, check_resolved
from tailrace_kinesis.streams import Stream
from tailrace_kinesis.target import Target

Service = Literal["kinesis", "sts"]

_REGION = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_AWS_HOST = re.compile(r"(.+\.)?((data|control)-)?kinesis(-fips)?\.[a-z]+(-[a-z]+)+-[0-9]+(\.vpce)?")


def region_of(target: Target) -> str:
    """Raises Misconfigured where nothing says a region."""
    region = (
        target.region
        or os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION")
        or _profile(target.profile).get("region")
    )
    if not region:
        raise Misconfigured(
            "no region is known for the stream",
            hint="set region in the account, give the stream's ARN, or set AWS_REGION",
        )
    if not _REGION.fullmatch(region):
        raise Misconfigured("the region that the environment gives is not a region", hint="see AWS_REGION")
    return region


def endpoint_of(
    target: Target, service: Service, region: str, operation: Literal["data", "control"] = "data"
) -> str:
    """The URL to call. Raises Misconfigured."""
    fips = _flag(target.use_fips, "AWS_USE_FIPS_ENDPOINT")
    dualstack = _flag(target.use_dualstack, "AWS_USE_DUALSTACK_ENDPOINT")
    custom = _custom(target, service)
    if custom is None:
        return _by_rules(target, service, region, operation, fips, dualstack)
    if fips or dualstack:
        raise Misconfigured(
            "an endpoint URL and FIPS or dual-stack exclude each other",
            hint="take away the endpoint URL, or AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT",
        )
    try:
        url = check_endpoint(custom)
        check_resolved(url)
    except ValueError as error:
        raise Misconfigured(f"the endpoint URL for {service} is refused: {error}") from None
    return url


def has_custom_endpoint(target: Target, service: Service) -> bool:
    return _custom(target, service) is not None


def is_aws(url: str) -> bool:
    """Whether a URL is one of AWS's own Kinesis endpoints, of a VPC too."""
    host = urlsplit(url).hostname or ""
    suffixes = {
        partition["outputs"][name]
        for partition in _data("partitions")["partitions"]
        for name in ("dnsSuffix", "dualStackDnsSuffix")
    }
    return urlsplit(url).scheme == "https" and any(
        host.endswith(f".{suffix}") and _AWS_HOST.fullmatch(host.removesuffix(f".{suffix}"))
        for suffix in suffixes
    )


def partition_of(region: str) -> str:
    """`aws`, `aws-cn`, `aws-us-gov`, …; `aws` for a region that no rule knows."""
    for partition in _data("partitions")["partitions"]:
        if region in partition["regions"] or re.fullmatch(partition["regionRegex"], region):
            return str(partition["id"])
    return "aws"


def _custom(target: Target, service: Service) -> str | None:
    if service == "kinesis" and target.endpoint_url:
        return target.endpoint_url
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    from_environment = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get(
        "AWS_ENDPOINT_URL"
    )
    if from_environment or not _reads_profile(target):
        return from_environment or None
    return _profile(target.profile).get(service)


def _by_rules(
    target: Target, service: Service, region: str, operation: str, fips: bool, dualstack: bool
) -> str:
    from botocore.endpoint_provider import EndpointProvider
    from botocore.exceptions import BotoCoreError

    parameters: dict[str, Any] = {"Region": region, "UseFIPS": fips, "UseDualStack": dualstack}
    stream = Stream.parse(target.stream)
    if service == "sts":
        parameters["UseGlobalEndpoint"] = False
    elif stream.arn:
        parameters |= {"StreamARN": stream.arn, "OperationType": operation}
    try:
        rules = EndpointProvider(_data("endpoint-rule-set-1", service), _data("partitions"))
        return str(rules.resolve_endpoint(**parameters).url)
    except BotoCoreError as error:
        raise Misconfigured(f"no {service} endpoint for region {region}: {error}") from None


def _flag(field: bool | None, variable: str) -> bool:
    return field if field is not None else os.environ.get(variable, "").lower() == "true"


def _reads_profile(target: Target) -> bool:
    """Whether the AWS configuration files have a say: an account with its own key does without."""
    return target.access_key_id is None and (
        target.profile is not None or "AWS_PROFILE" in os.environ or not os.environ.get("AWS_ACCESS_KEY_ID")
    )


def _profile(name: str | None) -> dict[str, str]:
    """What a profile says of the region and of the endpoints of our two services."""
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    session = Session(profile=name)
    try:
        scoped = session.get_scoped_config()
        services = session.full_config.get("services", {}).get(scoped.get("services"), {})
    except BotoCoreError:
        return {}  # the credentials will say what is wrong with the profile
    found = {"region": scoped.get("region")}
    for service in ("kinesis", "sts"):
        found[service] = services.get(service, {}).get("endpoint_url") or scoped.get("endpoint_url")
    return {key: value for key, value in found.items() if value}


@lru_cache(maxsize=8)
def _data(name: str, service: str | None = None) -> Any:
    """One of botocore's data files."""
    from botocore.loaders import Loader

    loader: Any = Loader()
    return loader.load_data(name) if service is None else loader.load_service_model(service, name)
