"""Files of parts with nothing in them but what they hold.

LMDB's own copy leaves free pages out, but its pages still name keys that were removed. So the values are
written to a new file beside each one, which is synced, read whole by another process, and takes its place.
Killed at any moment it leaves the old file or the new one at that place, and perhaps a new one beside it,
which the next compaction and a reset remove.
"""

from __future__ import annotations

import os
from pathlib import Path

from tailrace.errors import StateError
from tailrace.store.layout import close_parts, open_parts, part_files
from tailrace.store.notes import copy_of, leave_note, remove_copy
from tailrace.store.part import rewrite, total
from tailrace.store.verify import verify
from tailrace.syncing import try_sync_folder


def compact_parts(folder: Path) -> None:
    """Rewrite each part's file. Nobody may have them open; the caller holds
    the journal. Raises StateDamaged, before anything is changed, or StateError."""
    close_parts(open_parts(folder, whole=True))  # what is no part in use is removed
    for path in part_files(folder):
        _compact(path)


def _compact(path: Path) -> None:
    copy = copy_of(path)
    remove_copy(path)
    try:
        rewrite(path, copy)
        _compare(copy, path)
        os.replace(copy, path)
        try_sync_folder(path.parent)
        leave_note(path)  # the old one does not fit it
    except OSError as error:
        raise StateError(
            f"the store {path} cannot be compacted: {error.strerror}",
            hint="look at the home folder; the store is as it was",
        ) from None
    finally:
        remove_copy(path)


def _compare(copy: Path, path: Path) -> None:
    """Raises StateError where the copy does not hold the same values."""
    if verify([copy]) or total(copy) != total(path):
        raise StateError(
            f"the store {path} cannot be compacted: what was written of it reads back wrong",
            hint="look at the disk of the home folder; the store is as it was",
        )
