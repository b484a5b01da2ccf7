"""Where credentials come from, and how they are renewed. All classes are thread-safe."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from tailrace import AuthenticationFailed, Clock, Misconfigured, TailraceError, Transient
from tailrace_kinesis.target import Target


class Keys(NamedTuple):
    """One set of credentials, with the names that botocore's signer looks for."""

    access_key: str
    secret_key: str
    token: str | None = None

    def __repr__(self) -> str:
        return "Keys(…)"


class Credentials(Protocol):
    def keys(self) -> Keys:
        """What to sign the next request with. May call STS or another source, seldom."""
        ...

    def renew(self, stale: Keys) -> bool:
        """The server said that `stale` has expired. Get newer ones; False where there are none. Of
        several threads that ask, one works."""
        ...

    def doubt(self, stale: Keys) -> None:
        """The server refused `stale` for a reason that somebody may mend at their source: look there
        again before the next request."""
        ...


class StaticCredentials:
    """A key that a user gave. Its secret may be in a file, which is read again when it is refused."""

    def __init__(self, read: Callable[[], Keys]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._keys = read()
        self._doubted = False

    def keys(self) -> Keys:
        if not self._doubted:
            return self._keys
        with self._lock:
            if self._doubted:
                self._keys = self._read()
                self._doubted = False
            return self._keys

    def renew(self, stale: Keys) -> bool:
        self.doubt(stale)
        return self.keys() != stale

    def doubt(self, stale: Keys) -> None:
        with self._lock:
            self._doubted = self._doubted or self._keys == stale


class SdkCredentials:
    """A profile or the default chain. botocore finds and refreshes them; they are loaded anew when a
    server refuses them, since the file behind them may have changed."""

    def __init__(self, profile: str | None) -> None:
        self._profile = profile
        self._lock = threading.Lock()
        self._found = self._load()
        self._doubted = False

    def keys(self) -> Keys:
        if self._doubted:
            with self._lock:
                if self._doubted:
                    self._found = self._load()
                    self._doubted = False
        try:
            frozen = self._found.get_frozen_credentials()
        except Exception as error:
            self._doubted = True
            raise _not_found(self._profile, error) from None
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)

    def renew(self, stale: Keys) -> bool:
        self.doubt(stale)
        return self.keys() != stale

    def doubt(self, stale: Keys) -> None:
        if not self._doubted and self.keys() == stale:
            self._doubted = True

    def _load(self) -> Any:
        if self._profile is None and os.environ.get("AWS_ACCESS_KEY_ID"):
            from botocore.credentials import EnvProvider  # the chain's first, without a session

            load: Callable[[], Any] = EnvProvider().load
        else:
            from botocore.session import Session

            load = Session(profile=self._profile).get_credentials
        try:
            found = load()
        except Exception as error:
            raise _not_found(self._profile, error) from None
        if found is None:
            raise _not_found(self._profile, None)
        return found


class RoleCredentials:
    """Temporary credentials from a call that assumes a role, renewed before they expire.

    While STS cannot be reached the old ones are used until they expire, and STS is asked at most
    every `PAUSE` seconds.
    """

    EARLY = 300.0
    PAUSE = 5.0

    def __init__(self, assume: Callable[[], tuple[Keys, float]], clock: Clock) -> None:
        """`assume` returns new keys and the time at which they expire."""
        self._assume = assume
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Keys | None = None
        self._renew_at = self._expires = 0.0

    def keys(self) -> Keys:
        keys = self._keys
        if keys is not None and self._clock.time() < self._renew_at:
            return keys
        valid = keys is not None and self._clock.time() < self._expires
        # While the old ones are valid only one thread renews; the others go on with those.
        if not self._lock.acquire(blocking=not valid):
            assert keys is not None
            return keys
        try:
            if self._keys is None or self._clock.time() >= self._renew_at:
                self._get()
            assert self._keys is not None
            return self._keys
        finally:
            self._lock.release()

    def renew(self, stale: Keys) -> bool:
        with self._lock:
            if self._keys == stale:
                self._expires = 0.0
                self._get()
            return self._keys != stale

    def doubt(self, stale: Keys) -> None:
        with self._lock:
            if self._keys == stale:
                self._renew_at = 0.0

    def _get(self) -> None:
        try:
            keys, expires = self._assume()
        except TailraceError:
            now = self._clock.time()
            if self._keys is None or now >= self._expires:
                raise
            self._renew_at = min(now + self.PAUSE, self._expires)
            return
        now = self._clock.time()
        self._keys, self._expires = keys, expires
        # Short sessions are renewed after three quarters of their life.
        self._renew_at = max(expires - self.EARLY, now + (expires - now) * 0.75)


def base_credentials(target: Target, secret: Callable[[Any], str]) -> Credentials:
    """The credentials before any role: a key, a profile or the default chain."""
    if target.access_key_id is not None and target.secret_key is not None:
        return StaticCredentials(lambda: _given(target, secret))
    return SdkCredentials(target.profile)


def _given(target: Target, secret: Callable[[Any], str]) -> Keys:
    token = secret(target.session_token) if target.session_token is not None else None
    return Keys(str(target.access_key_id), secret(target.secret_key), token)


def _not_found(profile: str | None, error: Exception | None) -> TailraceError:
    name = type(error).__name__ if error is not None else ""
    if name == "ProfileNotFound":
        return Misconfigured(
            f"the AWS configuration files have no profile {profile!r}", hint="check the account's profile"
        )
    if name in ("ConnectTimeoutError", "EndpointConnectionError", "ReadTimeoutError"):
        return Transient("the source of the AWS credentials cannot be reached", hint="check the network")
    where = f"profile {profile!r}" if profile else "the default chain"
    return AuthenticationFailed(
        f"no AWS credentials from {where}" + (f" ({name})" if name else ""),
        hint="give access_key_id and secret_key, a profile, or what the AWS SDK looks for",
    )
