"""The error table of the way to a namespace: what fails before AMQP or Kafka is spoken, with the actions of
`errors`. The codes are Tailrace's own; `reach` finds them."""

from __future__ import annotations

from tailrace_eventhubs.errors import Rule

NETWORK_RULES: tuple[Rule, ...] = (
    Rule(
        ("HostNotFound",),
        "unreachable",
        "the host name does not resolve",
        "check the namespace and the network (DNS)",
    ),
    Rule(
        ("ConnectionRefused",), "unreachable", "nobody listens there", "check the endpoint and the firewall"
    ),
    Rule(
        ("ConnectTimeout", "Unreachable"),
        "unreachable",
        "nobody answers there",
        "check the network and the firewall: AMQP needs port 5671, transport=websocket port 443",
    ),
    Rule(("ConnectionLost",), "unreachable", "the connection was lost", "check the network"),
    Rule(("NoAnswer",), "unreachable", "the server did not answer in time", "check the network"),
    Rule(
        ("CertificateUntrusted",),
        "misconfigured",
        "the certificate of the server is not trusted",
        "give ca_bundle where a proxy or another authority signs it",
    ),
    Rule(
        ("CertificateName",),
        "misconfigured",
        "the certificate is not for that host name",
        "check the namespace and the endpoint",
    ),
    Rule(
        ("NotTls",),
        "misconfigured",
        "the port does not speak TLS",
        "check the port of the endpoint; amqp:// is for a plain port on this machine",
    ),
    Rule(
        ("TlsExpected",),
        "misconfigured",
        "the port speaks TLS, and was spoken to in plain",
        "use amqps:// for the endpoint, or take UseDevelopmentEmulator=true away",
    ),
    Rule(
        ("TlsFailed",),
        "misconfigured",
        "the server and this machine agree on no way to speak TLS",
        "check the endpoint and what stands between: TLS 1.2 is needed",
    ),
    Rule(
        ("NotAmqp",),
        "misconfigured",
        "the server does not speak AMQP",
        "check the endpoint and the transport",
    ),
    Rule(
        ("WebSocketRefused",),
        "misconfigured",
        "the server does not take AMQP over WebSocket",
        "check the endpoint and what stands between",
    ),
    Rule(
        ("ProxyRefused",),
        "misconfigured",
        "the proxy refuses the connection",
        "check the proxy's rules: it must allow CONNECT to port 443 of the namespace",
    ),
    Rule(
        ("ProxyWantsPassword",),
        "misconfigured",
        "the proxy wants a user name and password",
        "give them in the HTTPS_PROXY variable",
    ),
    Rule(
        ("ProxyUnreachable",),
        "unreachable",
        "the proxy cannot be reached, or cannot reach the namespace",
        "check the proxy",
    ),
)
"""What happens before AMQP is spoken."""

_BY_CODE = {code: rule for rule in NETWORK_RULES for code in rule.codes}


def network_rule(code: str) -> Rule:
    return _BY_CODE[code]
