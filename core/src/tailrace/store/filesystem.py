"""Which file system a folder is on.

Locks and memory maps are not to be relied on across a network, so a store is kept on a local one.
"""

from __future__ import annotations

import os
from pathlib import Path

NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.glusterfs", "fuse.rclone",
        "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs",
        "smb3", "smbfs",
    }
)  # fmt: skip
"""Types that Linux names for file systems which another machine may change."""

MOUNTS = Path("/proc/self/mountinfo")


def network_type(folder: Path) -> str | None:
    """The type of the network file system that the folder is on; None on a local one, and where the
    system does not tell (it does on Linux)."""
    try:
        mounts = MOUNTS.read_text(errors="replace").splitlines()
        wanted = _device(folder)
    except OSError:
        return None
    for mount in mounts:
        fields, _, about = mount.partition(" - ")
        if fields.split(" ")[2:3] == [wanted]:
            kind = about.split(" ")[0]
            return kind if kind in NETWORK else None
    return None


def _device(folder: Path) -> str:
    """The device of its file system, as the table of mounts names it."""
    device = os.stat(folder).st_dev
    return f"{os.major(device)}:{os.minor(device)}"
