"""Run a command that ends when the process that started it ends, even by ``kill -9``.

Started by path, not by module name (``python -I -S leash.py SUPERVISOR_PID PIPE_FD command…``), and turns
into the command by ``exec``: the pid the supervisor sees is the command's own, and the interpreter is gone.
A program of its own, because a hook between fork and exec is unsafe in a supervisor that has threads.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def tie_by_kernel(supervisor: int) -> None:
    """Ask Linux to SIGKILL this process when the thread that forked it ends.

    SIGKILL, because whoever must not outlive its supervisor cannot be trusted to stop by itself: a worker
    that drains politely waits for a server that dies in the same instant. Raises OSError if refused.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != supervisor:
        # It died before the request took effect, so no signal will come.
        os._exit(1)


def tie_by_pipe(pipe: int) -> None:
    """Leave a watcher in this process group that SIGKILLs the group once ``pipe`` reaches its end.

    For systems without PR_SET_PDEATHSIG. The supervisor alone holds the writing end, so the end of the file
    is its death; the supervisor removes the watcher with the group when the command ends first.
    """
    if os.fork() == 0:
        while os.read(pipe, 1):
            pass
        os.killpg(0, signal.SIGKILL)
    os.close(pipe)


def main(argv: Sequence[str]) -> None:
    """Tie this process to the supervisor ``argv[0]`` (through the pipe ``argv[1]``, or the kernel if it is
    negative) and become the command ``argv[2:]``. Raises OSError if the command cannot be run.
    """
    supervisor, pipe, command = int(argv[0]), int(argv[1]), list(argv[2:])
    if pipe < 0:
        tie_by_kernel(supervisor)
    else:
        tie_by_pipe(pipe)
    os.execvp(command[0], command)  # noqa: S606 - becoming the command, without a shell, is the point


if __name__ == "__main__":
    main(sys.argv[1:])
