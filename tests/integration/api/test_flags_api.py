"""Flags over HTTP."""

from __future__ import annotations

from tests.integration.api.harness import FLAG, FLAGS, Api


async def test_flags_are_applied_together_and_read_back(api: Api) -> None:
    """Applying several flags reports each change, and they can be read one by one and together."""
    answer = await api.http.post("/v1/flags", json={"flags": FLAGS})
    assert [(c["key"], c["action"]) for c in answer.json()["changes"]] == [(key, "created") for key in FLAGS]
    listed = (await api.http.get("/v1/flags")).json()["flags"]
    assert [record["flag"]["key"] for record in listed] == sorted(FLAGS)
    one = (await api.http.get(f"/v1/flags/{FLAG}")).json()
    assert one["flag"]["rules"][0]["if"] == FLAGS[FLAG]["rules"][0]["if"]
    assert one["traffic"]["weights"] == {"perplexity": 100_000}


async def test_one_bad_flag_refuses_all_with_every_fault(api: Api) -> None:
    """A bad flag among good ones applies nothing and names each fault with a remedy."""
    flags = {**FLAGS, "broken": {"variants": {"a": 1}, "stabel": "a", "serve": "b"}}
    answer = await api.http.post("/v1/flags", json={"flags": flags})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["status"]) == ("invalid_input", 400)
    assert {p["path"] for p in problem["problems"]} == {
        "flags.broken.stable",
        "flags.broken.stabel",
        "flags.broken.serve",
    }
    assert next(p for p in problem["problems"] if p["path"].endswith("stabel"))["remedy"] == "did you mean stable?"
    assert (await api.http.get("/v1/flags")).json() == {"flags": []}


async def test_put_names_fields_as_the_body_has_them(api: Api) -> None:
    """A fault of a single flag is named by its path in the body that was sent."""
    answer = await api.http.put("/v1/flags/new", json={"variants": {"a": 1}, "stable": "b"})
    assert [p["path"] for p in answer.json()["problems"]] == ["stable"]


async def test_a_deleted_flag_is_gone(api: Api) -> None:
    """Deleting answers 204, and afterwards the flag is not found, with the stable code for it."""
    await api.apply()
    assert (await api.http.delete(f"/v1/flags/{FLAG}")).status_code == 204
    answer = await api.http.get(f"/v1/flags/{FLAG}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_stop_and_restore_reach_evaluation_and_the_audit_log(api: Api) -> None:
    """An emergency stop serves stable to everybody at once, whoever a rule speaks for; restoring ends it."""
    await api.apply()
    asked = {"context": {"targetingKey": "u", "email": "a@example.org"}}
    path = f"/ofrep/v1/evaluate/flags/{FLAG}"
    assert (await api.http.post(path, json=asked)).json()["variant"] == "lightrag"
    headers = {"X-Turnout-Actor": "J%C3%BCrgen"}
    answer = await api.http.post(f"/v1/flags/{FLAG}/stop", json={"reason": "wrong answers"}, headers=headers)
    assert answer.json()["flag"]["stopped_reason"] == "wrong answers"
    await api.served()
    assert (await api.http.post(path, json=asked)).json()["variant"] == "perplexity"
    await api.http.post(f"/v1/flags/{FLAG}/restore", json={})
    await api.served()
    assert (await api.http.post(path, json=asked)).json()["variant"] == "lightrag"
    entries = (await api.http.get("/v1/audit", params={"subject": FLAG})).json()["entries"]
    assert [(e["actor"], e["action"]) for e in entries][:2] == [("local", "flag.restored"), ("Jürgen", "flag.stopped")]


async def test_a_body_that_is_no_json_is_refused_before_it_is_read(api: Api) -> None:
    """Only JSON is taken, so that no page of another site can send a change without asking first."""
    answer = await api.http.post("/v1/flags", content=b'{"flags": {}}', headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    answer = await api.http.post(f"/v1/flags/{FLAG}/stop", content=b"{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code in (400, 415)


async def test_unknown_paths_and_methods_are_problems_too(api: Api) -> None:
    """404 and 405 have the same shape as every other error, and 405 names what is allowed."""
    answer = await api.http.get("/v1/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    answer = await api.http.patch(f"/v1/flags/{FLAG}")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "DELETE, GET, PUT"
