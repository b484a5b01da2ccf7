"""What to do about what the operating system refused, by its error number."""

from __future__ import annotations

import errno

from tailrace.errors import ConfigurationError

FILES = (errno.EMFILE, errno.ENFILE)
RAISE_LIMIT = "the limit of open files is too low: `ulimit -n` shows it, `ulimit -n 1024` raises it"

_ADVICE = {
    **dict.fromkeys(FILES, RAISE_LIMIT),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room in the home folder"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "make the home folder writable"),
}


def too_many_files(error: OSError) -> ConfigurationError | None:
    """For an error of any place, as anything can meet that limit; None for another error."""
    if error.errno not in FILES:
        return None
    return ConfigurationError("too many open files", hint=RAISE_LIMIT)


def advice(error: OSError) -> str:
    """For a file of the home that cannot be written."""
    return _ADVICE.get(error.errno or 0, "check the home folder")
