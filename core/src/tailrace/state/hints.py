"""What to do where a database cannot be used, by what its driver said."""

from __future__ import annotations

BUSY_SECONDS = 30
"""How long a transaction waits for others, on either database, before it is refused."""

GENERAL = "check TAILRACE_HOME and TAILRACE_DATABASE_URL, then try again"
BUSY = "another program is writing to it: try again when that has ended"
SPACE = "make free space where the database is, then try again; nothing of this was changed"
COPY = (
    "restore a copy of the home, or the tailrace.db.revision-N beside the database, which a migration "
    "keeps of it"
)
BACKUP = "restore a backup of the database, or name another one in TAILRACE_DATABASE_URL"
HELD = f"another session holds a lock, for more than {BUSY_SECONDS} seconds"
"""PostgreSQL says that it cancels a statement, and SQLite that the database is locked."""

_SAID = (
    ("database is locked", BUSY),
    ("deadlock detected", BUSY),
    (HELD, "try again when it has ended; on the server, pg_locks and pg_stat_activity show it"),
    ("disk I/O error", SPACE),
    ("database or disk is full", SPACE),
    ("No space left on device", SPACE),
    ("file is not a database", COPY),
    ("database disk image is malformed", COPY),
    ("no such table", COPY),
    ("no such column", COPY),
    ("did not write", COPY),
    ('relation "', BACKUP),
)


def hint(said: str) -> str:
    """The hint for a message of a driver."""
    return next((advice for part, advice in _SAID if part in said), GENERAL)
