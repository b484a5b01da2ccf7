"""The two folders: the home (state, dead letters, logs) and the configuration folder (the key).

They are apart on purpose: a copy of the home alone opens no stored secret.
"""

from __future__ import annotations

import os
from pathlib import Path

from tailrace import arguments
from tailrace.errors import StateError
from tailrace.syncing import make_folder


def home_folder(given: str | Path | None = None) -> Path:
    """`given`, else $TAILRACE_HOME, else the user's data folder. It need not exist."""
    chosen = given or os.environ.get("TAILRACE_HOME")
    if chosen:
        return Path(arguments.path("home", chosen)).expanduser()
    from platformdirs import user_data_dir

    return Path(user_data_dir("tailrace"))


def configuration_folder() -> Path:
    """$TAILRACE_CONFIG_DIR, else the user's configuration folder. It need not exist."""
    chosen = os.environ.get("TAILRACE_CONFIG_DIR")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_config_dir

    return Path(user_config_dir("tailrace"))


def private_folder(folder: Path) -> Path:
    """Make the folder, readable by its owner only. Raises StateError.

    A folder that already holds something keeps its mode: it may be shared with others, and the
    files inside are private each for itself.
    """
    try:
        make_folder(folder)
        if folder.stat().st_mode & 0o077 and next(folder.iterdir(), None) is None:
            folder.chmod(0o700)
    except OSError as error:
        raise StateError(
            f"the folder {folder} cannot be used: {error.strerror}",
            hint="make it writable, or set TAILRACE_HOME (data) and TAILRACE_CONFIG_DIR (key) to others",
        ) from None
    return folder


def private_file(path: Path) -> None:
    """Make sure that the file exists and only its owner can read it. Raises StateError.

    An existing file is never opened: closing it would drop the locks that SQLite holds on it.
    """
    try:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)
    except OSError as error:
        raise StateError(
            f"the file {path} cannot be used: {error.strerror}",
            hint="it must belong to the user who runs tailrace",
        ) from None
