"""The lock of a journal: of the operating system, so that it ends with the process.

Network file systems may not have such locks.
"""

import errno
import os
import sys
from threading import Event

_LOCKED = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})
"""The errors of a file that another process has locked, on all systems."""

_TRIES, _PAUSE = 4, 0.01
"""How often a lock is tried, and the seconds between."""


def try_lock(descriptor: int, tries: int = _TRIES) -> bool:
    """Lock a file, and return whether that succeeded. Tries again: a check may hold the lock.

    Raises:
        OSError: The file system has no locks.
    """
    for remaining in reversed(range(tries)):
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno not in _LOCKED:
                raise
            if remaining:
                Event().wait(_PAUSE)
        else:
            return True
    return False


if sys.platform == "win32":
    import msvcrt

    _LOCKED_BYTE = 2**40  # every file system has such a position

    def _lock(descriptor: int) -> None:
        """Lock a byte far beyond the end, so that others can still read the journal."""
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_END)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        """Lock the file; the lock ends with the process, however it ends."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
