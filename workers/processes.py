"""Child processes that are logged, restarted when they die, stopped in order, and never orphaned."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from turnout.domain.errors import Unavailable

LEASH = Path(__file__).with_name("leash.py")
"""The program that ties a child's life to its supervisor's."""

LOG_BYTES = 10_000_000
"""A log larger than this many bytes is set aside (one older file is kept) when its child starts."""

TAIL_BYTES = 64_000
"""At most this many bytes at the end of a log are read to explain a failure."""


class ChildFailed(Unavailable):
    """A child process ended and will not be started again; the message holds the tail of its log."""

    code = "child_failed"

    def __init__(self, child: Child, what: str) -> None:
        super().__init__(
            f"{child.name} {what}; the end of its log ({child.log_path}):\n{child.log_tail() or '  (empty)'}"
        )


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When a dead child is started again, and when no more. Times in seconds.

    The wait starts at ``first_delay`` and doubles with every death up to ``max_delay``; a child that lived
    for ``settled`` starts over. ``give_up_after`` deaths in a row, each within ``quick`` of the start, end
    it: something is wrong that no restart repairs.
    """

    first_delay: float = 0.2
    max_delay: float = 5.0
    settled: float = 60.0
    quick: float = 10.0
    give_up_after: int = 5


@dataclass(slots=True)
class Deaths:
    """The recent deaths of one child, and what they mean under a policy."""

    policy: RestartPolicy
    quick: int = 0
    unsettled: int = 0

    def record(self, lived: float) -> float | None:
        """Note a death after ``lived`` seconds; the seconds to wait before the next start, None: give up."""
        policy = self.policy
        self.quick = self.quick + 1 if lived < policy.quick else 0
        self.unsettled = self.unsettled + 1 if lived < policy.settled else 1
        if self.quick >= policy.give_up_after:
            return None
        # float: a child that dies for days must not overflow the exponent.
        return min(policy.max_delay, policy.first_delay * 2.0 ** min(self.unsettled - 1, 30))


def describe_exit(code: int) -> str:
    """``code`` as subprocess reports it (negative: the signal that killed it), in words."""
    if code >= 0:
        return f"exited with status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _kill_group(pid: int, signum: signal.Signals = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signum)


class Leash:
    """How children learn that this process died: by the kernel on Linux, elsewhere by the end of a pipe."""

    def __init__(self, by_kernel: bool = sys.platform == "linux") -> None:
        # The writing end stays in this process alone and closes with it.
        self._reader, self._writer = (-1, -1) if by_kernel else os.pipe()

    @property
    def fds(self) -> tuple[int, ...]:
        """File descriptors a child must inherit."""
        return () if self._reader < 0 else (self._reader,)

    def wrap(self, command: Sequence[str]) -> list[str]:
        """``command`` so that it dies with this process. It must be spawned from the main thread: Linux
        takes the end of the thread that forked for the end of the parent.
        """
        return [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), str(self._reader), *command]

    def close(self) -> None:
        """Free the pipe. Children still running are killed by it."""
        for fd in (self._reader, self._writer):
            if fd >= 0:
                os.close(fd)
        self._reader = self._writer = -1


@dataclass
class Child:
    """One child process, in a session of its own (a Ctrl-C at the terminal reaches only the supervisor).

    ``env`` is its whole environment; output goes to ``log_path``; ``grace`` is the number of seconds between
    SIGTERM and SIGKILL when it is stopped; ``pass_fds`` are file descriptors it inherits.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    log_path: Path
    grace: float = 10.0
    pass_fds: tuple[int, ...] = ()
    leash: Leash = field(default_factory=Leash)
    _process: asyncio.subprocess.Process | None = None
    _log_start: int = 0

    @property
    def pid(self) -> int | None:
        """Process id of the latest start, None before the first."""
        return None if self._process is None else self._process.pid

    async def start(self) -> int:
        """Spawn the process and return its pid. Raises OSError if the log cannot be opened."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES:
            self.log_path.replace(self.log_path.with_name(self.log_path.name + ".1"))
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *self.leash.wrap(self.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(self.env),
                start_new_session=True,
                pass_fds=(*self.pass_fds, *self.leash.fds),
            )
        return self._process.pid

    async def wait(self) -> int:
        """Wait for the end of the process; its exit status, negative for a signal. What it left behind in
        its process group is killed. Raises RuntimeError if it was never started.
        """
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        code = await self._process.wait()
        _kill_group(self._process.pid)
        return code

    async def stop(self) -> int | None:
        """End the process: SIGTERM, ``grace`` seconds, then SIGKILL of its group. Its exit status; None if
        it was never started. Stopping twice does no harm.
        """
        if self._process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            return await asyncio.wait_for(self.wait(), self.grace)
        except TimeoutError:
            self.kill()
            return await self.wait()

    def kill(self) -> None:
        """SIGKILL the whole process group, if the process still runs."""
        if self._process is not None and self._process.returncode is None:
            _kill_group(self._process.pid)

    async def restart(self) -> int:
        """Stop, then start with the same command; the new pid."""
        await self.stop()
        return await self.start()

    def log_tail(self, lines: int = 20) -> str:
        """The last ``lines`` lines that the latest start wrote, indented; empty if it wrote nothing."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - TAIL_BYTES))
            text = log.read().decode("utf-8", "replace")
        return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])


class Supervisor:
    """Keeps children running and stops them in the reverse order of their start.

    ``ended`` is done once they are to stop: with no error when asked to, with ChildFailed when a child cannot
    be kept alive. ``report`` gets one line of text for each death. Use as an async context manager: leaving
    it stops every child.
    """

    def __init__(self, policy: RestartPolicy, report: Callable[[str], None]) -> None:
        self.policy = policy
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._report = report
        self._children: list[Child] = []
        self._watchers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Supervisor:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, child: Child) -> Child:
        """Start ``child``; from now on it is stopped with the others. Only ``keep`` makes it live on."""
        self._children.append(child)
        await child.start()
        return child

    def keep(self, child: Child) -> None:
        """Start ``child`` (which must be running) again whenever it dies, as the policy says."""
        task = asyncio.create_task(self._watch(child), name=f"keep {child.name}")
        task.add_done_callback(self._watcher_ended)
        self._watchers.append(task)

    async def run_once(self, child: Child) -> None:
        """Run ``child`` to its end. Raises ChildFailed unless it exits with status 0."""
        await self.start(child)
        code = await child.wait()
        self.forget(child)
        if code != 0:
            raise ChildFailed(child, describe_exit(code))

    async def stop(self) -> None:
        """Stop every child, the last started first, each with its own grace."""
        for task in self._watchers:
            task.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for child in reversed(self._children):
            await child.stop()

    def forget(self, child: Child) -> None:
        """``child`` has ended for good: there is nothing to stop."""
        self._children.remove(child)

    def ask_to_stop(self) -> None:
        """Mark ``ended``. Asked once more, SIGKILL every child, so that no grace is waited for."""
        if not self.ended.done():
            self.ended.set_result(None)
            return
        for child in self._children:
            child.kill()

    async def _watch(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        deaths = Deaths(self.policy)
        while True:
            born = loop.time()
            what = describe_exit(await child.wait())
            delay = deaths.record(loop.time() - born)
            if delay is None:
                raise ChildFailed(child, f"keeps dying ({deaths.quick} times in a row; the last one {what})")
            self._report(f"{child.name} {what}; starting it again in {delay:.1f} s")
            await asyncio.sleep(delay)
            await child.start()

    def _watcher_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.ended.done():
            self.ended.set_exception(error)
