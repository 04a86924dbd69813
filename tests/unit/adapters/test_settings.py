"""Settings of the server processes: what is read, what is refused, and the page that documents them."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout.adapters import settings_page
from turnout.adapters.settings import Settings, Token, read_settings
from turnout.domain.addresses import parse_network
from turnout.domain.errors import InvalidInput

GOOD = "ann:operator:a-long-secret"


def refused(environ: dict[str, str]) -> list[str]:
    """What is said of an environment that is refused."""
    with pytest.raises(InvalidInput) as caught:
        read_settings(environ)
    return [str(problem) for problem in caught.value.problems]


def test_every_setting_is_read_from_its_variable() -> None:
    """Types are those of the fields; an empty variable counts as not set; the process's own environment is not read."""
    found = read_settings(
        {
            "TURNOUT_DATA": "/var/lib/turnout",
            "TURNOUT_DATABASE": "",
            "TURNOUT_HOST": "0.0.0.0",
            "TURNOUT_PORT": "0",
            "TURNOUT_METRICS_PORT": "9090",
            "TURNOUT_TOKENS": f"{GOOD}, bob:viewer+service:another-secret,",
            "TURNOUT_FEED_INTERVAL": "0.5",
            "TURNOUT_FLAGS_FILE": "/etc/turnout/flags.yaml",
            "TURNOUT_GEO_DATABASE": "/geo.mmdb",
            "TURNOUT_GEO_ADDRESS": "request",
            "TURNOUT_GEO_HEADER": "Forwarded",
            "TURNOUT_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8",
        }
    )
    assert (found.data, found.host, found.port, found.metrics_port) == (Path("/var/lib/turnout"), "0.0.0.0", 0, 9090)
    assert found.database_url == "sqlite+aiosqlite:////var/lib/turnout/turnout.db"
    assert found.tokens == (
        Token(name="ann", roles=("operator",), secret="a-long-secret"),
        Token(name="bob", roles=("viewer", "service"), secret="another-secret"),
    )
    assert found.flags_file == Path("/etc/turnout/flags.yaml")
    assert (found.feed_interval, found.geo.header, found.geo.address) == (0.5, "Forwarded", "request")
    assert found.geo.proxies == (parse_network("10.0.0.0/8"), parse_network("fd00::/8"))
    assert read_settings({}) == Settings()


def test_arguments_do_not_read_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings made in a program are what the program says."""
    monkeypatch.setenv("TURNOUT_PORT", "9")
    assert Settings().port == 8080


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    """Every unknown name is told; those of the client, of flags and of tests are known."""
    fine = {"TURNOUT_URL": "x", "TURNOUT_TOKEN": "x", "TURNOUT_FLAG_ENGINE": "new", "TURNOUT_TEST_POSTGRES": "skip"}
    assert read_settings({**fine, "LIGHTRAG_ENABLED": "true"}) == Settings()
    assert refused({**fine, "TURNOUT_DATABSE": "x", "TURNOUT_FED_INTERVAL": "1"}) == [
        "TURNOUT_DATABSE: is no setting; did you mean TURNOUT_DATABASE?",
        "TURNOUT_FED_INTERVAL: is no setting; did you mean TURNOUT_FEED_INTERVAL?",
    ]


def test_what_kubernetes_sets_for_a_service_called_turnout() -> None:
    """Its links are no misspelt settings, but its TURNOUT_PORT is no port, and the remedy says why."""
    links = {
        "TURNOUT_SERVICE_HOST": "10.0.0.1",
        "TURNOUT_SERVICE_PORT_HTTP": "80",
        "TURNOUT_PORT_80_TCP_ADDR": "10.0.0.1",
        "TURNOUT_API_PORT": "tcp://10.0.0.1:80",
    }
    assert read_settings(links) == Settings()
    (fault,) = refused({**links, "TURNOUT_PORT": "tcp://10.0.0.1:80"})
    assert fault.startswith("TURNOUT_PORT: is what Kubernetes sets")
    assert "enableServiceLinks: false" in fault


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "eighty", "TURNOUT_PORT: input should be a valid integer"),
        ("PORT", "70000", "TURNOUT_PORT: input should be less than or equal to 65535"),
        ("FEED_INTERVAL", "0", "TURNOUT_FEED_INTERVAL: input should be greater than 0"),
        ("HOST", "0.0.0.0", "TURNOUT_HOST: would open the API to others without tokens"),
        ("TOKENS", "ann:operator:short", "TURNOUT_TOKENS: entry 1 is no token (got ann)"),
        ("TOKENS", "ann:operator:changeme", "TURNOUT_TOKENS: entry 1 has a secret that anybody guesses (got ann)"),
        ("TOKENS", f"{GOOD},bob:viewer:a-long-secret", "TURNOUT_TOKENS: two entries have the same secret"),
        ("TRUSTED_PROXIES", "everywhere", "TURNOUT_TRUSTED_PROXIES: "),
        ("GEO_HEADER", "X-Real-IP", "TURNOUT_GEO_HEADER: is believed of no proxy (got X-Real-IP)"),
        ("GEO_ADDRESS", "request", "TURNOUT_GEO_ADDRESS: has no database to look addresses up in"),
        ("DATABASE", "sqlite+aiosqlite:///:memory:", "TURNOUT_DATABASE: is a database of each process alone"),
    ],
)
def test_values_that_are_unusable_or_unsafe_are_refused(name: str, value: str, said: str) -> None:
    """The variable is named as it was written, and no secret is repeated."""
    (fault,) = refused({f"TURNOUT_{name}": value})
    assert fault.startswith(said)
    assert "a-long-secret" not in fault
    assert "short" not in fault


def test_every_fault_is_told_at_once() -> None:
    """Unknown names and bad values together."""
    assert len(refused({"TURNOUT_PRT": "1", "TURNOUT_PORT": "x", "TURNOUT_FEED_INTERVAL": "99"})) == 3


def test_the_page_is_current_and_names_every_setting() -> None:
    """The generated reference is committed, and every setting says who reads it and what it means."""
    assert settings_page.main(["--check"]) == 0
    rows = [line for line in settings_page.page().splitlines() if line.startswith("| `TURNOUT_")]
    assert len(rows) == len(Settings.model_fields) + 3
    assert all(all(cell.strip() for cell in row.strip("|").split(" | ")) for row in rows)


def test_an_outdated_page_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check fails on another text, and writing mends it."""
    monkeypatch.setattr(settings_page, "DEFAULT", tmp_path / "settings.md")
    assert settings_page.main(["--check"]) == 1
    assert settings_page.main([]) == 0
    assert settings_page.main(["--check"]) == 0
