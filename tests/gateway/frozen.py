"""One thread of another process that stands still while the rest of it goes on."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
ANY_THREAD = 0x40000000


def thread_of(process: int, name: str) -> int:
    """The number of the thread with this name."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return next(int(one.name) for one in tasks if (one / "comm").read_text().strip() == name)


@contextlib.contextmanager
def frozen(thread: int) -> Iterator[None]:
    """Hold a thread of a child of this process, as a debugger does. Raises `OSError` where none may."""
    trace(SEIZE, thread)
    try:
        # One that works may hold a lock that the rest of its process needs.
        while state_of(thread) != "S":
            pass
        trace(INTERRUPT, thread)
        os.waitpid(thread, ANY_THREAD)
        yield
    finally:
        trace(DETACH, thread)


def state_of(thread: int) -> str:
    return Path(f"/proc/{thread}/stat").read_text().rpartition(")")[2].split()[0]


def trace(request: int, thread: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    library.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    library.ptrace.restype = ctypes.c_long
    if library.ptrace(request, thread, None, None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
