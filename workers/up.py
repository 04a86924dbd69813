"""`turnout up`: a Temporal server, a worker and the API on this machine, as one supervised whole."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from turnout.adapters.geo import open_places
from turnout.adapters.settings import read_settings
from turnout.cli.documents import parse as parse_document
from turnout.cli.documents import read_flags
from turnout.domain.errors import InvalidInput, TurnoutError, Unavailable
from workers import datadir, embedded
from workers.plan import Addresses, Commands, Plan, child_environment, choose_addresses, parse
from workers.processes import Child, ChildFailed, Leash, Supervisor, describe_exit

EXIT_STOPPED, EXIT_FAILED, EXIT_REFUSED = 0, 1, 2
"""Exit statuses: stopped by a signal; a part of it failed; refused before anything was started."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of all parts under a supervisor. ``lock`` is the descriptor of the data directory's lock."""

    plan: Plan
    supervisor: Supervisor
    lock: int
    leash: Leash = field(default_factory=Leash)

    def child(self, name: str, command: Sequence[str], env: Mapping[str, str], grace: float) -> Child:
        """A child process that logs to ``logs/<name>.log`` in the data directory."""
        log = self.plan.data / "logs" / f"{name}.log"
        return Child(name, command, env, log, grace, leash=self.leash)

    async def everything(self) -> tuple[Addresses, dict[str, int]]:
        """Start all parts and wait until they serve; where they listen and their process ids.

        Raises ChildFailed, Unavailable or InvalidInput.
        """
        at = choose_addresses(self.plan)
        _warn_of(self.plan.flags_file)
        # What the worker and the API would refuse is refused here, before they die of it again and again.
        open_places(read_settings(child_environment(self.plan, at)).geo.database)
        server, at = await self.foundations(at)
        env = child_environment(self.plan, at)
        worker = await self.kept("worker", self.plan.commands.worker, env, 15.0)
        # The port is the worker's alone; the API serves its metrics with everything else.
        api_env = {key: value for key, value in env.items() if key != "TURNOUT_METRICS_PORT"}
        api = await self.kept("api", self.plan.commands.api, api_env, 10.0)
        await self.answers(f"{at.url}/readyz")
        pids = {child.name: child.pid for child in (server, worker, api) if child.pid is not None}
        return at, {"supervisor": os.getpid(), **pids}

    async def foundations(self, at: Addresses) -> tuple[Child, Addresses]:
        """Start the Temporal server and, at the same time, bring the database to its newest schema."""
        migrate = self.child("migrate", self.plan.commands.migrate, child_environment(self.plan, at), 5.0)
        migration = asyncio.create_task(self.supervisor.run_once(migrate))
        try:
            server, at = await self.server(at)
            await embedded.keep_histories(at.temporal.address)
            await migration
        finally:
            await _cancel(migration)
        return server, at

    async def kept(self, name: str, command: Sequence[str], env: Mapping[str, str], grace: float) -> Child:
        """Start a child that is to run all the time."""
        child = await self.supervisor.start(self.child(name, command, env, grace))
        self.supervisor.keep(child)
        return child

    async def server(self, at: Addresses, attempts: int = 3) -> tuple[Child, Addresses]:
        """Start the Temporal server and wait until it is healthy; on other ports if one was just taken."""
        plan = self.plan
        command = embedded.server_command(plan.data, at.temporal, plan.ui, embedded.temporal_binary(plan.environ))
        env = embedded.server_environment(plan.environ)
        # It holds the lock too: should it outlive this process for a moment, nobody else opens its file.
        child = replace(self.child("temporal", command, env, 10.0), pass_fds=(self.lock,))
        failure = await self.first_start(child, at.temporal.address)
        if failure is None:
            datadir.save_ports(plan.data, at.temporal)
            self.supervisor.keep(child)
            return child, at
        if attempts > 1 and "address already in use" in child.log_tail():
            return await self.server(
                replace(at, temporal=datadir.pick_ports(taken=frozenset((at.port,)))), attempts - 1
            )
        raise failure

    async def first_start(self, child: Child, address: str) -> ChildFailed | None:
        """Start the server; None once it is healthy, else why its process ended."""
        await self.supervisor.start(child)
        ended = asyncio.create_task(child.wait())
        ready = asyncio.create_task(embedded.wait_ready(address, self.plan.ready_timeout))
        try:
            await asyncio.wait({ended, ready}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                self.supervisor.forget(child)
                return ChildFailed(child, describe_exit(ended.result()))
            await ready
            return None
        finally:
            await _cancel(ended, ready)

    async def answers(self, url: str) -> None:
        """Return once GET ``url`` answers 200. Raises Unavailable when the plan's time is over."""
        import httpx

        last = "no answer"
        try:
            # trust_env: a proxy set for the network outside must not be asked for this machine.
            async with asyncio.timeout(self.plan.ready_timeout), httpx.AsyncClient(trust_env=False) as http:
                while True:
                    try:
                        answer = await http.get(url, timeout=5.0)
                    except httpx.HTTPError as error:
                        last = str(error) or type(error).__name__
                    else:
                        if answer.status_code == 200:
                            return
                        last = f"status {answer.status_code}: {answer.text[:500]}"
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise Unavailable(
                f"{url} is not ready after {self.plan.ready_timeout:g} s ({last});"
                f" see the logs in {self.plan.data / 'logs'}"
            ) from None


def announcement(plan: Plan, at: Addresses, pids: Mapping[str, int]) -> str:
    """What is written to stdout once everything serves; JSON is a single line."""
    ui = at.ui_url(plan.ui)
    if plan.json_output:
        facts = {"url": at.url, "temporal": at.temporal.address, "ui": ui, "data": str(plan.data)}
        return json.dumps({**facts, "pids": dict(pids)})
    lines = [
        f"Turnout is ready at {at.url}",
        f"  temporal  {at.temporal.address}" + (f"  (web page: {ui})" if ui else ""),
        f"  data      {plan.data}",
        f"  logs      {plan.data / 'logs'}",
        "Press Ctrl-C to stop. Open rollouts continue with the next `turnout up` on this data directory.",
    ]
    return "\n".join(lines)


def _write(text: str) -> None:
    # Whoever reads may have gone away; that is no reason to stop serving.
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _report(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"turnout up: {text}\n")
        sys.stderr.flush()


def _warn_of(flag_file: Path | None) -> None:
    """Say at once what the API will have to log: whoever misspells the name of the file looks at this terminal."""
    try:
        if flag_file is not None:
            read_flags(parse_document(str(flag_file), flag_file.read_text(encoding="utf-8-sig")))
    except OSError as error:
        _report(f"{flag_file} cannot be read ({error.strerror}); it is applied once it can")
    except (InvalidInput, UnicodeDecodeError) as error:
        _report(f"{flag_file} is not applied until it is mended: {error}")


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _on_stop_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup` ignores SIGHUP on the user's behalf.
        if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:
            loop.add_signal_handler(signum, stop)


async def run(plan: Plan, lock: int) -> None:
    """Start everything, announce it, and keep it running until a signal asks to stop; then stop it in order.

    A second signal stops at once. Raises ChildFailed, Unavailable or InvalidInput when it cannot go on;
    everything is stopped then, too. ``lock`` is the descriptor that ``datadir.data_lock`` gives.
    """
    async with Supervisor(plan.policy, _report) as supervisor:
        _on_stop_signals(supervisor.ask_to_stop)
        starting = asyncio.create_task(Start(plan, supervisor, lock).everything())
        try:
            either: set[asyncio.Future[Any]] = {starting, supervisor.ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not supervisor.ended.done():
                _write(announcement(plan, *await starting))
            await supervisor.ended
        finally:
            await _cancel(starting)
        if not plan.json_output:
            _report("stopping")


def main(argv: Sequence[str] | None = None, commands: Commands | None = None) -> int:
    """Run `turnout up` with these arguments (default: the command line's); its exit status.

    ``commands`` replaces what is run in place of the worker, the API and the migration. Must be called in the
    main thread.
    """
    plan = parse(argv, os.environ)
    if commands is not None:
        plan = replace(plan, commands=commands)
    try:
        with datadir.data_lock(plan.data) as lock:
            asyncio.run(run(plan, lock))
    except (Unavailable, OSError) as error:
        _report(str(error))
        return EXIT_FAILED
    except TurnoutError as error:
        _report(str(error))
        return EXIT_REFUSED
    return EXIT_STOPPED


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # The Temporal SDK's threads can abort or deadlock the interpreter's ordinary way out.
    os._exit(status)
