"""Child processes: restart policy, logs, stopping, and not outliving the supervisor."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from workers.processes import (
    Child,
    ChildFailed,
    Deaths,
    Leash,
    RestartPolicy,
    Supervisor,
    describe_exit,
)

FAST = RestartPolicy(first_delay=0.01, max_delay=0.02, give_up_after=3)


def child(tmp_path: Path, script: str, grace: float = 10.0, leash: Leash | None = None) -> Child:
    """A shell script as a child."""
    command = ["/bin/sh", "-c", script]
    return Child("part", command, os.environ, tmp_path / "logs" / "part.log", grace, leash=leash or Leash())


async def written(path: Path) -> str:
    """The text of ``path`` once there is some."""
    async with asyncio.timeout(20):
        while not (path.exists() and path.read_text()):
            await asyncio.sleep(0.01)
    return path.read_text()


async def gone(pid: int) -> None:
    """Return once no program runs under ``pid`` (a container's init may leave the zombie)."""
    async with asyncio.timeout(20):
        try:
            while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.01)
        except psutil.NoSuchProcess:
            return


def test_the_wait_doubles_up_to_its_bound() -> None:
    """A child that dies again and again, but not at once, waits ever longer, up to the bound."""
    deaths = Deaths(RestartPolicy())
    assert [deaths.record(20.0) for _ in range(7)] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


def test_a_settled_child_starts_over() -> None:
    """After a long life the wait is the first one again."""
    deaths = Deaths(RestartPolicy())
    deaths.record(20.0)
    deaths.record(20.0)
    assert deaths.record(61.0) == pytest.approx(0.2)


def test_only_quick_deaths_in_a_row_end_it() -> None:
    """It is given up after the set number of quick deaths; one longer life in between starts the count anew."""
    deaths = Deaths(RestartPolicy(give_up_after=3))
    lives = [1.0, 1.0, 30.0, 1.0, 1.0, 1.0]
    assert [deaths.record(lived) is None for lived in lives] == [False, False, False, False, False, True]


@pytest.mark.parametrize(
    ("code", "words"), [(3, "exited with status 3"), (-9, "was killed by SIGKILL"), (-99, "was killed by signal 99")]
)
def test_exits_in_words(code: int, words: str) -> None:
    """Exit codes are told as statuses or as the names of signals."""
    assert describe_exit(code) == words


async def test_the_log_holds_both_streams_and_the_tail_only_the_latest_start(tmp_path: Path) -> None:
    """The file keeps every start's output; the tail shows the latest start's last lines."""
    one = child(tmp_path, "echo out; echo err >&2; echo $$")
    first = await one.start()
    assert await one.wait() == 0
    second = await one.start()
    assert await one.wait() == 0
    assert one.log_path.read_text() == f"out\nerr\n{first}\nout\nerr\n{second}\n"
    assert one.log_tail(2) == f"  err\n  {second}"


async def test_stop_is_gentle_first(tmp_path: Path) -> None:
    """A child that heeds SIGTERM ends by itself, and stopping it again does no harm."""
    one = child(tmp_path, "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done")
    await one.start()
    await written(one.log_path)
    assert await one.stop() == 7
    assert await one.stop() == 7


async def test_stop_kills_a_group_that_does_not_listen(tmp_path: Path) -> None:
    """A child that ignores SIGTERM is killed after its grace, and what it started with it."""
    one = child(tmp_path, "trap '' TERM; sleep 600 & echo $!; wait", grace=0.2)
    await one.start()
    grandchild = int(await written(one.log_path))
    assert await one.stop() == -9
    await gone(grandchild)


async def test_what_a_dead_child_leaves_is_removed(tmp_path: Path) -> None:
    """When a child ends, processes it left in its group end too."""
    one = child(tmp_path, "sleep 600 & echo $!")
    await one.start()
    assert await one.wait() == 0
    await gone(int(one.log_path.read_text()))


async def test_restart_runs_the_same_command_anew(tmp_path: Path) -> None:
    """A restart ends the old process and gives a new one."""
    one = child(tmp_path, "exec sleep 600")
    old = await one.start()
    assert await one.restart() != old
    await gone(old)
    await one.stop()


async def test_a_command_that_does_not_exist_says_so_in_the_log(tmp_path: Path) -> None:
    """A missing program is a failed child with an explanation, not a broken supervisor."""
    one = Child("part", ["/no/such/program"], os.environ, tmp_path / "part.log")
    await one.start()
    assert await one.wait() == 1
    assert "No such file or directory" in one.log_tail()


async def test_the_supervisor_gives_up_with_the_log(tmp_path: Path) -> None:
    """A child that keeps dying ends the supervisor's work; the error tells why, each death was reported."""
    reports: list[str] = []
    async with Supervisor(FAST, reports.append) as supervisor:
        supervisor.keep(await supervisor.start(child(tmp_path, "echo no licence; exit 4")))
        with pytest.raises(ChildFailed, match=r"keeps dying \(3 times in a row; .*status 4\)(.|\n)*no licence"):
            await asyncio.wait_for(supervisor.ended, 20)
    assert len(reports) == 2


async def test_leaving_the_supervisor_stops_the_last_started_first(tmp_path: Path) -> None:
    """Children stop in the reverse order of their start."""
    order = tmp_path / "order"
    script = "trap 'echo {0} >> {1}; exit 0' TERM; echo up > {1}.{0}; while :; do sleep 0.02; done"
    async with Supervisor(FAST, lambda _: None) as supervisor:
        for name in ("server", "worker", "api"):
            supervisor.keep(await supervisor.start(child(tmp_path, script.format(name, order))))
            await written(Path(f"{order}.{name}"))
    assert order.read_text().split() == ["api", "worker", "server"]


async def test_asking_twice_waits_for_no_grace(tmp_path: Path) -> None:
    """The second request to stop kills children that take their time."""
    stubborn = child(tmp_path, "trap '' TERM; echo up; while :; do sleep 0.05; done", grace=600)
    async with Supervisor(FAST, lambda _: None) as supervisor:
        await supervisor.start(stubborn)
        await written(stubborn.log_path)
        supervisor.ask_to_stop()
        await supervisor.ended
        asyncio.get_running_loop().call_later(0.1, supervisor.ask_to_stop)
    assert await stubborn.wait() == -9


SUPERVISOR = """
import asyncio, os, sys
from pathlib import Path
from workers.processes import Child, Leash
async def main():
    leash = Leash(by_kernel=sys.argv[1] == "kernel")
    child = Child("part", sys.argv[3:], os.environ, Path(sys.argv[2]), leash=leash)
    print(await child.start(), flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def supervised(way: str, log: Path, command: Sequence[str]) -> subprocess.Popen[str]:
    """A supervisor process with one child; prints the child's pid."""
    root = str(Path(__file__).parents[3])
    arguments = [sys.executable, "-c", SUPERVISOR, way, str(log), *command]
    return subprocess.Popen(arguments, cwd=root, stdout=subprocess.PIPE, text=True)


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")


@pytest.mark.parametrize("way", [pytest.param("kernel", marks=ON_LINUX), "pipe"])
async def test_a_child_dies_with_its_killed_supervisor(tmp_path: Path, way: str) -> None:
    """Kill -9 of the supervisor ends a child that ignores SIGTERM, by the kernel's means and by the pipe's."""
    log = tmp_path / "part.log"
    with supervised(way, log, ["/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"]) as parent:
        assert parent.stdout is not None
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        await written(log)
        parent.kill()
    await gone(pid)


async def test_a_child_on_the_pipe_ends_without_leaving_its_watcher(tmp_path: Path) -> None:
    """The watcher that the pipe's way needs goes when the child does."""
    leash = Leash(by_kernel=False)
    one = child(tmp_path, "echo up", leash=leash)
    pid = await one.start()
    assert await one.wait() == 0
    async with asyncio.timeout(20):
        while _lives_in_group(pid):
            await asyncio.sleep(0.01)
    leash.close()


def _lives_in_group(group: int) -> bool:
    """Whether a process other than a zombie is in the group."""
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                return True
        except ProcessLookupError:
            continue
    return False
