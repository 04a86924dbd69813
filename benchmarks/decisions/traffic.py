"""Simulated traffic: requests in time order, who sends them, and what happens to them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from turnout.analysis.clusters import Sums
from turnout.analysis.evidence import Floats
from turnout.domain.stats import CLUSTERS, ArmStats

Order = Literal["return", "session"]
"""Users come back at random, or send all their requests one after the other."""

Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class Habits:
    """How many ``users`` there are, the log-sd of their lognormal activity (0: all alike), and in which order they "
    "come."""

    users: int
    spread: float = 0.0
    order: Order = "return"


@dataclass(frozen=True, slots=True)
class Crowd:
    """One path's traffic: the look (0-based) and the user of every request; users below ``candidates`` are on the
    candidate. Activity is drawn independently of the arm, so the numbering says nothing else."""

    look: NDArray[np.int64]
    user: NDArray[np.int64]
    looks: int
    users: int
    candidates: int

    @property
    def on_candidate(self) -> NDArray[np.bool_]:
        """Which requests the candidate serves."""
        return self.user < self.candidates


def crowd(random: Random, habits: Habits, requests: int, looks: int, share: float) -> Crowd:
    """``requests`` over ``looks`` looks, each user on the candidate with probability ``share``."""
    users = habits.users
    if habits.spread > 0:
        activity = random.lognormal(0.0, habits.spread, users)
        sent = random.multinomial(requests, activity / activity.sum())
    else:
        sent = np.full(users, requests // users)
    who = random.permutation(users)
    user = np.repeat(who, sent)
    if habits.order == "return":
        user = random.permutation(user)
    look = np.arange(user.size) * looks // user.size
    return Crowd(look, user, looks, users, int(random.binomial(users, share)))


def binomial(
    random: Random, trials: Floats | float, rate: Floats | float, shape: tuple[int, ...] | None = None
) -> Floats:
    """Binomial counts as floating-point numbers; ``trials`` are whole numbers."""
    counts: Floats = np.asarray(random.binomial(np.asarray(trials, dtype=np.int64), rate, shape), dtype=np.float64)
    return counts


def rates(random: Random, rate: float, users: int, icc: float) -> Floats:
    """A rate of its own for every user: beta with mean ``rate`` and intra-class correlation ``icc``."""
    if icc == 0:
        return np.full(users, rate)
    strength = (1 - icc) / icc
    return random.beta(rate * strength, (1 - rate) * strength, users)


def errors(random: Random, traffic: Crowd, rate: float, icc: float, candidate_rate: float | None = None) -> Floats:
    """0 or 1 per request: beta-binomial between users, the candidate's users at ``candidate_rate``."""
    own = rates(random, rate, traffic.users, icc)
    if candidate_rate is not None:
        own[: traffic.candidates] = rates(random, candidate_rate, traffic.candidates, icc)
    return (random.random(traffic.user.size) < own[traffic.user]).astype(np.float64)


def normals(random: Random, traffic: Crowd, icc: float) -> Floats:
    """Standard normal values with intra-class correlation ``icc`` between a user's."""
    own = random.standard_normal(traffic.users)
    rest = random.standard_normal(traffic.user.size)
    return np.asarray(math.sqrt(icc) * own[traffic.user] + math.sqrt(1 - icc) * rest)


def cumulative(traffic: Crowd, values: Floats | None = None) -> Floats:
    """Looks × users: the sum of ``values`` (of requests without them) of every user up to every look."""
    cell = traffic.look * traffic.users + traffic.user
    table = np.bincount(cell, values, minlength=traffic.looks * traffic.users)
    return table.reshape(traffic.looks, traffic.users).cumsum(axis=0, dtype=np.float64)


def clustered(
    traffic: Crowd, values: Floats, rated: NDArray[np.bool_] | None = None, *, bundle: bool = True
) -> tuple[Sums, Sums]:
    """The sums of both arms at every look, the candidate's first, over the ``rated`` requests.

    With ``bundle`` as a store keeps them: users are summed in 1024 clusters, as a hash has it, each arm apart.
    """
    if rated is not None:
        traffic = Crowd(traffic.look[rated], traffic.user[rated], traffic.looks, traffic.users, traffic.candidates)
        values = values[rated]
    square = values * values
    ours = traffic.on_candidate
    candidate, stable = (_arm(traffic, arm, values, square, bundle=bundle) for arm in (ours, ~ours))
    return candidate, stable


def _arm(traffic: Crowd, arm: NDArray[np.bool_], values: Floats, square: Floats, *, bundle: bool) -> Sums:
    look, user = traffic.look[arm], traffic.user[arm]
    seen = _distinct(look, user, traffic.looks)
    user, groups = (_cluster(user), CLUSTERS) if bundle else (user, traffic.users)
    own = Crowd(look, user, traffic.looks, groups, 0)
    counts, totals = cumulative(own), cumulative(own, values[arm])
    squares = np.bincount(look, square[arm], minlength=traffic.looks).cumsum()
    return between(counts, totals, squares, seen)


def between(counts: Floats, totals: Floats, squares: Floats, units: Floats) -> Sums:
    """`Sums` over the last axis, one entry a cluster: their numbers of values and the sums of those."""
    return Sums(
        units=units,
        samples=counts.sum(axis=-1),
        total=totals.sum(axis=-1),
        squares=squares,
        nn=np.einsum("...u,...u->...", counts, counts),
        yy=np.einsum("...u,...u->...", totals, totals),
        ny=np.einsum("...u,...u->...", counts, totals),
        clusters=(counts > 0).sum(axis=-1).astype(np.float64),
    )


def _distinct(look: NDArray[np.int64], user: NDArray[np.int64], looks: int) -> Floats:
    """How many different users there were up to every look."""
    _, index = np.unique(user, return_index=True)
    return np.bincount(look[index], minlength=looks).cumsum().astype(np.float64)


def _cluster(user: NDArray[np.int64]) -> NDArray[np.int64]:
    """A cluster for every user by a multiplicative hash (Fibonacci hashing), unrelated to the arm."""
    mixed = (user.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return (mixed >> np.uint64(54)).astype(np.int64)


def independent(samples: Floats, total: Floats, squares: Floats) -> Sums:
    """The sums of values of which every one is a user of its own."""
    return Sums(samples, samples, total, squares, samples, squares, total)


def by_request(traffic: Crowd, values: Floats, rated: NDArray[np.bool_] | None = None) -> tuple[Sums, Sums]:
    """The sums of both arms at every look as if every request were a user of its own."""
    kept = np.ones(traffic.user.size, dtype=np.bool_) if rated is None else rated
    ours = traffic.on_candidate
    candidate, stable = (_single(traffic, arm & kept, values) for arm in (ours, ~ours))
    return candidate, stable


def _single(traffic: Crowd, arm: NDArray[np.bool_], values: Floats) -> Sums:
    look, own = traffic.look[arm], values[arm]
    n, y, yy = (
        np.bincount(look, weights, minlength=traffic.looks).cumsum().astype(np.float64)
        for weights in (None, own, own * own)
    )
    return independent(n, y, yy)


def first_hits(traffic: Crowd, values: Floats) -> tuple[Floats, Floats]:
    """How many users of the candidate, and of stable, had a value above 0 up to every look."""
    hit = cumulative(traffic, values) > 0
    at = traffic.candidates
    return hit[:, :at].sum(axis=1).astype(np.float64), hit[:, at:].sum(axis=1).astype(np.float64)


def as_stored(random: Random, counts: NDArray[np.int64], totals: Floats, squares: float) -> ArmStats:
    """The statistics of one arm from its users' numbers of values and their sums, summed in clusters by chance."""
    cluster = random.integers(CLUSTERS, size=counts.size)
    n, y = (np.bincount(cluster, one, minlength=CLUSTERS) for one in (counts, totals))
    return ArmStats(
        units=int((counts > 0).sum()),
        samples=int(counts.sum()),
        total=float(totals.sum()),
        squares=squares,
        nn=float(n @ n),
        yy=float(y @ y),
        ny=float(n @ y),
        clusters=int((n > 0).sum()),
    )
