"""What a process gives up before it touches hostile bytes.

`python -I -m keelmark.vet.apart MEMORY PROGRAM [ARGUMENT ...]` gives it up and becomes the program.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Iterable

_CLONE_NEWNET = 0x40000000
_CLONE_NEWUSER = 0x10000000
_PR_SET_NO_NEW_PRIVS = 38


def confine(limits: Iterable[tuple[int, int]]) -> None:
    """Give up new privileges, the network where the kernel lets an ordinary process, and more.

    Args:
        limits: Limits of resources, by `resource.RLIMIT_…`; they are only ever lowered.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.unshare(_CLONE_NEWNET):
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    os.umask(0o077)
    for what, limit in ((resource.RLIMIT_CORE, 0), *limits):
        hard = resource.getrlimit(what)[1]
        value = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (value, value))


if __name__ == "__main__":
    confine([(resource.RLIMIT_AS, int(sys.argv[1]))])
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 (that is what it is for)
