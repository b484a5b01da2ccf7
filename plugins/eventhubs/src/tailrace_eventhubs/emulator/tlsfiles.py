"""The certificate and the key of the command line."""

from __future__ import annotations

import re
import ssl

_CERTIFICATE = re.compile(rb"-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----")
_KEY = re.compile(rb"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----")
_LOCKED = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED")


def context(certificate: str | None, key: str | None) -> ssl.SSLContext | None:
    """A server's context, None without files. Raises ValueError, which names the option and its file."""
    if certificate is None:
        if key is not None:
            raise ValueError(f"--tls-key {key}: needs --tls-cert, the certificate it belongs to")
        return None
    at = f"--tls-cert {certificate}"
    held = _read(at, certificate)
    if not _CERTIFICATE.search(held):
        raise ValueError(f"{at}: there is no certificate in it (PEM)")
    if key is not None:
        at = f"--tls-key {key}"
        held = _read(at, key)
    if not (found := _KEY.search(held)):
        more = "" if key is not None else "; give the file that has it as --tls-key"
        raise ValueError(f"{at}: there is no private key in it (PEM){more}")
    if _LOCKED.match(held, found.start()) or _LOCKED.search(held, found.end(), found.end() + 100):
        raise ValueError(f"{at}: the private key is encrypted; give one without a password")
    return _loaded(certificate, key)


def _read(at: str, path: str) -> bytes:
    try:
        # As it was given: an empty one is no file, not the working directory.
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ValueError(f"{at}: {error.strerror or 'cannot be read'}") from None


def _loaded(certificate: str, key: str | None) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    both = f"--tls-cert {certificate}" + ("" if key is None else f", --tls-key {key}")
    try:
        # A password, so that nothing asks for one at the terminal.
        made.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(f"{both}: the key is not that of the certificate") from None
        raise ValueError(
            f"{both}: cannot be used: {error.reason or 'not a certificate and its key'}"
        ) from None
    return made
