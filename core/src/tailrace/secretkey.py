"""The key that seals stored secrets, and the places where it is looked for.

    TAILRACE_SECRET_KEY      one key, or several separated by commas
    the OS keyring           where a real one works; TAILRACE_KEYRING=off leaves it alone
    secret.key               in the configuration folder, mode 0600

Each place holds one or more keys. The first one seals; all of them open, so a key that was replaced
still opens what another home of the same user sealed with it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import ConfigurationError
from tailrace.state.folders import configuration_folder, private_folder
from tailrace.state.lock import exclusive

VARIABLE = "TAILRACE_SECRET_KEY"
FILE_NAME = "secret.key"
KEYRING_SERVICE = "tailrace"
KEYRING_USER = "secret-key"
_HEADER = "# The key of Tailrace's stored secrets. Whoever has it and the database can read them.\n"


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A Fernet key. Its id is a digest that is safe to store beside what it sealed."""

    text: str

    @property
    def id(self) -> str:
        return hashlib.sha256(b"tailrace key id\0" + self.text.encode()).hexdigest()[:12]

    def __repr__(self) -> str:
        return f"Key({self.id})"

    @classmethod
    def parse(cls, text: str, place: str) -> Key:
        """Raises ConfigurationError, which does not repeat the text."""
        try:
            valid = len(base64.b64decode(text, altchars=b"-_", validate=True)) == 32
        except (binascii.Error, ValueError):
            valid = False
        if valid:
            return cls(text)
        raise ConfigurationError(
            f"{place} does not hold a key: 32 bytes in URL-safe base64",
            hint="make one with: python -c 'from cryptography.fernet import Fernet; "
            "print(Fernet.generate_key().decode())'",
        )

    @classmethod
    def make(cls) -> Key:
        return cls(base64.urlsafe_b64encode(os.urandom(32)).decode())


class KeyFile:
    """Keys in a private file, one a line. Replaced as a whole, so a crash leaves the old or the new."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def read(self) -> list[Key]:
        try:
            text = self._path.read_text(encoding="ascii")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"the key file {self._path} cannot be read ({type(error).__name__})",
                hint="it must belong to the user who runs tailrace",
            ) from None
        lines = [line.strip() for line in text.splitlines()]
        return [Key.parse(line, str(self._path)) for line in lines if line and not line.startswith("#")]

    def write(self, keys: list[Key]) -> None:
        descriptor, name = tempfile.mkstemp(prefix=".secret-", dir=self._path.parent)  # O_EXCL, 0600
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(_HEADER + "".join(f"{key.text}\n" for key in keys))
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


class KeyringEntry:
    """Keys in the OS keyring, in one entry, separated by spaces."""

    def read(self) -> list[Key]:
        from tailrace import oskeyring

        text = oskeyring.read(KEYRING_SERVICE, KEYRING_USER) if oskeyring.works() else None
        return [Key.parse(part, "the OS keyring") for part in (text or "").split()]

    def write(self, keys: list[Key]) -> None:
        from tailrace import oskeyring

        oskeyring.write(KEYRING_SERVICE, KEYRING_USER, " ".join(key.text for key in keys))


class Keys:
    """All the keys within reach. Reads the places afresh each time: another process may add one."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or configuration_folder()
        self._file = KeyFile(self._folder)
        self._keyring = KeyringEntry()

    def find(self, identifier: str) -> Key | None:
        """The key with that id. The keyring, the slowest, is asked last."""
        return next((key for key in self._everywhere() if key.id == identifier), None)

    def current(self) -> Key:
        """The key that seals; made where there is none yet."""
        if keys := self.from_environment():
            return keys[0]
        private_folder(self._folder)
        with exclusive(self._folder / ".lock"):
            place, keys = self._stored()
            if not keys:
                keys = [Key.make()]
                place(keys)
            return keys[0]

    def replace(self) -> Key:
        """Put a new key before the stored ones, which stay; from now on it seals."""
        private_folder(self._folder)
        with exclusive(self._folder / ".lock"):
            place, keys = self._stored()
            new = Key.make()
            place([new, *keys])
            return new

    def from_environment(self) -> list[Key]:
        parts = re.split(r"[,\s]+", os.environ.get(VARIABLE, ""))
        return [Key.parse(part, VARIABLE) for part in parts if part]

    def _stored(self) -> tuple[Callable[[list[Key]], None], list[Key]]:
        """How to write the keys back to the place they are in, and the keys."""
        from tailrace import oskeyring

        in_keyring = self._keyring.read()
        in_file = [] if in_keyring else self._file.read()
        use_keyring = bool(in_keyring) or (not in_file and oskeyring.works())
        return (self._keyring.write if use_keyring else self._file.write), in_keyring or in_file

    def _everywhere(self) -> Iterator[Key]:
        yield from self.from_environment()
        yield from self._file.read()
        yield from self._keyring.read()
