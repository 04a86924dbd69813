"""``python -m tests.integration.client.spending URL FOLDER COUNT``: processes that spend a budget as fast as they can.

The budget is that of their environment if it gives one, else the flag's. Each keeps a file named by its number with
what its calls have cost, written before the call is settled, and prints its process id. It ends when it has got no
money for a while.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

from turnout.client.http import endpoint
from turnout.client.leases import Leases
from turnout.domain.bound import parse_bound

FLAG, VARIANT = "answer-engine", "lightrag"
ESTIMATE = 1000
QUIET_S = 1.3


def spend(url: str, file: Path, journals: Path, seed: int) -> None:
    """Spend until there is nothing left."""
    published, bound = {"envVariant": VARIANT}, parse_bound("LIGHTRAG_", os.environ)
    published |= {} if bound.daily_budget_usd is not None else {"budgets": VARIANT}
    leases = Leases(endpoint(url, None, 10.0), lambda _: published, journals, lambda _: bound)
    leases.changed(frozenset({FLAG}))
    leases.prepare(FLAG, VARIANT, 10.0)
    costs, refused_at = random.Random(seed), time.monotonic()
    wallet = leases.wallet(FLAG, VARIANT)
    assert wallet is not None
    with file.open("a", buffering=1) as spent:
        while time.monotonic() - refused_at < QUIET_S:
            reservation = wallet.reserve(ESTIMATE)
            if reservation is None:
                time.sleep(0.005)
                continue
            refused_at = time.monotonic()
            cost = costs.randint(ESTIMATE // 2, ESTIMATE)
            spent.write(f"{cost}\n")
            wallet.settle(reservation, cost)
    leases.close(10.0)


def main() -> None:
    """Start the processes and wait for them."""
    url, folder, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    children: list[int] = []
    for number in range(count):
        child = os.fork()
        if not child:
            spend(url, folder / str(number), folder.parent / "journals", number)
            os._exit(0)
        children.append(child)
    sys.stdout.write(f"{' '.join(map(str, children))}\n")
    sys.stdout.flush()
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
