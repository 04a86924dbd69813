"""docker-compose.yml against the code it starts."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from turnout.adapters.settings import Settings, read_settings

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("migrate", "worker", "api")
SECRETS = {"POSTGRES_PASSWORD": "pa55word", "TURNOUT_TOKENS": "ann:operator:a-long-secret"}


def environment(service: str) -> dict[str, str]:
    """The variables ``service`` gets, with those of the host filled in."""
    return {
        name: re.sub(r"\$\{(\w+):\?[^}]*\}", lambda m: SECRETS[m[1]], value)
        for name, value in SERVICES[service]["environment"].items()
    }


@pytest.mark.parametrize("service", OURS)
def test_commands_name_modules_that_can_be_run(service: str) -> None:
    """Each of our services starts a module that exists and has an entry point."""
    python, flag, module = SERVICES[service]["command"]
    assert (python, flag) == ("python", "-m")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    if spec.submodule_search_locations:
        assert importlib.util.find_spec(f"{module}.__main__") is not None


@pytest.mark.parametrize("service", OURS)
def test_variables_are_ones_the_code_reads(service: str) -> None:
    """Every TURNOUT_ variable is a setting, and together they make valid settings on PostgreSQL."""
    names = {name for name in environment(service) if name.startswith("TURNOUT_")}
    assert names <= {f"TURNOUT_{field.upper()}" for field in Settings.model_fields}
    assert read_settings(environment(service)).database_url.startswith("postgresql+asyncpg://")


def test_the_published_port_is_the_one_the_api_listens_on() -> None:
    """The container port of the mapping, the setting and the health check agree, and only loopback is published."""
    settings = read_settings(environment("api"))
    (mapping,) = SERVICES["api"]["ports"]
    assert mapping == f"127.0.0.1:8080:{settings.port}"
    assert f":{settings.port}/readyz" in SERVICES["api"]["healthcheck"]["test"][-1]


def test_dependencies_name_services_with_the_health_they_wait_for() -> None:
    """A service waited for as healthy has a health check; one waited for to complete does not restart."""
    for service in SERVICES.values():
        for name, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[name]
            else:
                assert SERVICES[name].get("restart", "no") == "no"


def test_no_secret_has_a_default() -> None:
    """Passwords and tokens come from outside; the file names none."""
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.search(r"\$\{(POSTGRES_PASSWORD|TURNOUT_TOKENS)(?!:\?)", text)


def test_the_image_copies_every_package_it_runs() -> None:
    """The Dockerfile copies the library and the application packages."""
    copied = set(re.findall(r"^COPY (\w+) \w+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert copied == {"src", "workflows", "activities", "workers", "api"}


def test_shell_commands_are_valid() -> None:
    """Inline scripts parse as shell."""
    for service in SERVICES.values():
        if service.get("entrypoint") == ["/bin/sh", "-ec"]:
            script = service["command"][0].replace("$$", "$")
            subprocess.run(["sh", "-n", "-c", script], check=True)
