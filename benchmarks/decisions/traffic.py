"""Simulated traffic: requests in time order, who sends them, and what happens to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from turnout.analysis.clusters import Sums
from turnout.analysis.evidence import Floats

Order = Literal["return", "session"]
"""Users come back at random, or send all their requests one after the other."""

Random = np.random.Generator


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


def crowd(
    random: Random, users: int, requests: int, looks: int, share: float, *, spread: float = 0.0, order: Order = "return"
) -> Crowd:
    """``requests`` over ``looks`` looks from ``users`` users, each on the candidate with probability ``share``.

    With ``spread`` 0 every user sends as many; otherwise a user's activity is lognormal with that log-sd.
    """
    if spread > 0:
        activity = random.lognormal(0.0, spread, users)
        sent = random.multinomial(requests, activity / activity.sum())
    else:
        sent = np.full(users, requests // users)
    who = random.permutation(users) if order == "session" else np.arange(users)
    user = np.repeat(who, sent[who])
    if order == "return":
        user = random.permutation(user)
    look = np.arange(user.size) * looks // user.size
    return Crowd(look, user, looks, users, int(random.binomial(users, share)))


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
    return np.sqrt(icc) * own[traffic.user] + np.sqrt(1 - icc) * random.standard_normal(traffic.user.size)


def cumulative(traffic: Crowd, values: Floats | None = None) -> Floats:
    """Looks × users: the sum of ``values`` (of requests without them) of every user up to every look."""
    cell = traffic.look * traffic.users + traffic.user
    table = np.bincount(cell, values, minlength=traffic.looks * traffic.users)
    return table.reshape(traffic.looks, traffic.users).cumsum(axis=0, dtype=np.float64)


def clustered(traffic: Crowd, values: Floats, rated: NDArray[np.bool_] | None = None) -> tuple[Sums, Sums]:
    """The sums between users of both arms at every look, the candidate's first, over the ``rated`` requests."""
    if rated is not None:
        traffic = Crowd(traffic.look[rated], traffic.user[rated], traffic.looks, traffic.users, traffic.candidates)
        values = values[rated]
    counts, totals, squares = cumulative(traffic), cumulative(traffic, values), cumulative(traffic, values * values)
    at = traffic.candidates
    return (
        between_users(counts[:, :at], totals[:, :at], squares[:, :at].sum(axis=1)),
        between_users(counts[:, at:], totals[:, at:], squares[:, at:].sum(axis=1)),
    )


def between_users(counts: Floats, totals: Floats, squares: Floats) -> Sums:
    """`Sums` over the last axis: users' numbers of values and their sums; ``squares`` of the single values."""
    return Sums(
        units=(counts > 0).sum(axis=-1).astype(np.float64),
        samples=counts.sum(axis=-1),
        total=totals.sum(axis=-1),
        squares=squares,
        nn=np.einsum("...u,...u->...", counts, counts),
        yy=np.einsum("...u,...u->...", totals, totals),
        ny=np.einsum("...u,...u->...", counts, totals),
    )


def independent(samples: Floats, total: Floats, squares: Floats) -> Sums:
    """The sums of values of which every one is a user of its own."""
    return Sums(samples, samples, total, squares, samples, squares, total)


def first_hits(traffic: Crowd, values: Floats) -> tuple[Floats, Floats]:
    """How many users of the candidate, and of stable, had a value above 0 up to every look."""
    hit = cumulative(traffic, values) > 0
    at = traffic.candidates
    return hit[:, :at].sum(axis=1).astype(np.float64), hit[:, at:].sum(axis=1).astype(np.float64)
