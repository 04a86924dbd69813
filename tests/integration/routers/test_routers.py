"""What holds for every router, on real Caddy and real HAProxy with real traffic."""

from __future__ import annotations

import httpx
import pytest

from tests.integration.routers.conftest import Services
from tests.integration.routers.services import load, within_binomial_bounds
from tests.integration.routers.sites import CaddySite, Site, router
from turnout.domain.errors import InvalidInput, StaleGeneration, Unavailable
from turnout.domain.splits import Preview, RouterSplit, drifts

pytestmark = pytest.mark.slow

REQUESTS = 300
HEADER = Preview(variant="green", header="x-preview", value="green")


def split(generation: int, green: int, preview: Preview | None = None, rollout: str = "r-1") -> RouterSplit:
    weights = {"green": green, "blue": 100_000 - green}
    return RouterSplit(rollout_id=rollout, generation=generation, weights=weights, preview=preview)


async def test_traffic_moves_there_and_back_without_a_failed_request(
    site: Site, services: Services, http: httpx.AsyncClient
) -> None:
    """Under load on kept connections every step is what was asked for within binomial bounds, 0 and 100 % exactly, and
    no request fails. Caddy may close a connection, but a request on it has reached no service, and
    succeeds when it is sent again; HAProxy closes none."""
    steered = router(site, http)
    async with load(site.public) as seen:
        for generation, percent in enumerate([0, 10, 50, 100, 50, 10, 0], start=1):
            state = await steered.apply(split(generation, percent * 1000))
            assert state.drift == ()
            assert state.shares == {"blue": (100 - percent) * 1000, "green": percent * 1000}
            answers = await seen.during(f"{generation}: {percent} %", REQUESTS)
            assert within_binomial_bounds(answers["green"], answers.total(), percent / 100), (percent, answers)
    assert seen.failures == []
    assert seen.answered == services.blue.served + services.green.served > 7 * REQUESTS
    assert isinstance(site, CaddySite) or seen.resent == 0


async def test_a_change_by_hand_is_a_drift_and_applying_again_repairs_it(site: Site, http: httpx.AsyncClient) -> None:
    """Weights that somebody else set are seen by comparing with the plan, and the same split again mends them."""
    steered, asked = router(site, http), split(3, 10_000)
    await steered.apply(asked)
    assert drifts(steered.planned(asked), await steered.read()) == ()

    site.by_hand(1, 3)
    found = drifts(steered.planned(asked), await steered.read())
    assert [str(drift) for drift in found] == [
        "share of blue: expected 90 %, found 25 %",
        "share of green: expected 10 %, found 75 %",
    ]

    assert (await steered.apply(asked)).drift == ()
    assert drifts(steered.planned(asked), await steered.read()) == ()


async def test_an_older_generation_is_refused(site: Site, http: httpx.AsyncClient) -> None:
    """A late change of the same or of another rollout does not undo a newer one; the newest may be repeated."""
    steered = router(site, http)
    await steered.apply(split(7, 50_000))
    with pytest.raises(StaleGeneration, match="follows generation 7 of rollout r-1; generation 6 of rollout r-1"):
        await steered.apply(split(6, 10_000))
    with pytest.raises(StaleGeneration, match="generation 7 of rollout r-0 is not newer"):
        await steered.apply(split(7, 10_000, rollout="r-0"))
    assert (await steered.read()).shares == {"blue": 50_000, "green": 50_000}
    assert (await steered.apply(split(7, 50_000))).drift == ()
    assert (await steered.apply(split(8, 0, rollout="r-2"))).generation == 8


async def test_a_router_that_is_down_is_unavailable_and_forgets_when_it_starts_anew(
    site: Site, http: httpx.AsyncClient
) -> None:
    """Without the router both calls fail in a way worth retrying; one that came back with its file is seen as drifted,
    and follows again once the split is applied."""
    steered, asked = router(site, http), split(2, 50_000)
    await steered.apply(asked)
    site.kill()
    for call in (steered.read(), steered.apply(asked)):
        with pytest.raises(Unavailable) as caught:
            await call
        assert caught.value.retryable
    site.start()
    found = drifts(steered.planned(asked), await steered.read())
    assert [drift.kind for drift in found] == ["generation", "share", "share"]
    assert (found[0].expected, found[0].found) == ("2 of rollout r-1", "none")
    assert (await steered.apply(asked)).drift == ()


@pytest.mark.parametrize("share", [1, 300, 333, 7_777, 33_333, 99_999])
async def test_no_share_becomes_nothing(site: Site, http: httpx.AsyncClient, share: int) -> None:
    """What the router reports is what was planned for it: near the share that was asked for, and never 0 or all."""
    state = await router(site, http).apply(split(1, share))
    assert state.drift == ()
    assert 0 < state.shares["green"] < 100_000
    assert sum(state.shares.values()) == 100_000
    if 1_000 <= share <= 99_000:
        assert state.shares["green"] == pytest.approx(share, rel=0.011)
        assert state.shares["blue"] == pytest.approx(100_000 - share, rel=0.011)


async def test_a_preview_always_goes_to_green(site: Site, http: httpx.AsyncClient) -> None:
    """At 0 % only requests with the very header value get green; once the preview is off nobody does."""
    steered = router(site, http)
    assert (await steered.apply(split(1, 0, HEADER))).preview == HEADER

    async def answers(headers: dict[str, str]) -> set[str]:
        return {(await http.get(site.public, headers=headers)).text for _ in range(5)}

    assert await answers({"x-preview": "green"}) == {"green"}
    assert await answers({"x-preview": "gree"}) == {"blue"}
    assert await answers({}) == {"blue"}
    assert (await steered.apply(split(2, 0))).preview is None
    assert await answers({"x-preview": "green"}) == {"blue"}


async def test_weight_zero_gets_nothing_even_if_the_other_is_dead(
    site: Site, services: Services, http: httpx.AsyncClient
) -> None:
    """With nothing listening where blue was, green at 0 % still gets no request, and at 100 % gets all."""
    steered = router(site, http)
    await steered.apply(split(1, 0))
    await services.blue.stop()
    refused = [await http.get(site.public) for _ in range(20)]
    assert {answer.status_code for answer in refused} <= {502, 503}
    assert "green" not in {answer.text for answer in refused}
    await steered.apply(split(2, 100_000))
    assert {(await http.get(site.public)).text for _ in range(20)} == {"green"}


async def test_a_variant_without_a_place_is_refused(site: Site, http: httpx.AsyncClient) -> None:
    """A split that names a variant the router does not know, or a segment, changes nothing and says what to write."""
    steered = router(site, http)
    unknown = RouterSplit(rollout_id="r", generation=1, weights={"blue": 90_000, "grean": 10_000})
    with pytest.raises(InvalidInput, match=r"router\.(servers|upstreams): .*grean; did you mean green\?"):
        await steered.apply(unknown)
    with pytest.raises(InvalidInput, match=r"preview\.segment: is not known to a router \(got beta\); use a header"):
        await steered.apply(split(1, 0, Preview(variant="green", segment="beta")))
    assert (await steered.read()).generation is None
