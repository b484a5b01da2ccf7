"""Renewing the token of a connection while it is used."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger("tailrace_eventhubs")


def renew(authenticator: Any) -> None:
    """The SDK renews the token when a tenth of its time is left. A credential that gives none is asked again
    meanwhile: the old token is still good. Raises what the SDK raises where the service refuses the new one,
    or the old one has expired."""
    if authenticator is None:
        return
    before = authenticator.auth_state
    try:
        authenticator.handle_token()
    except Exception as error:
        asking = authenticator.auth_state.name == "IN_PROGRESS"
        if not asking or before.name not in ("OK", "REFRESH_REQUIRED"):
            raise
        authenticator.auth_state = before
        log.debug("the credential gave no new token: %s", type(error).__name__)
