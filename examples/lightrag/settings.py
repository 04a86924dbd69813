"""What the environment says about the service; what it says about the migration begins with ``LIGHTRAG_``."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Pattern = Literal[
    "shadow", "canary", "gradual", "cohort", "geographic", "blue_green", "toggles", "ab_test", "multivariate"
]
PATTERNS: Final[tuple[Pattern, ...]] = (
    "shadow",
    "canary",
    "gradual",
    "cohort",
    "geographic",
    "blue_green",
    "toggles",
    "ab_test",
    "multivariate",
)


class Settings(BaseSettings):
    """Read from variables that begin with ``CLINIC_``.

    ``systems`` are the ``local`` ones, or Perplexity and LightRAG over ``http``. ``pattern`` is the way in which users
    move to LightRAG; the service itself is the same for all of them. ``timeout`` is how long a system may take.
    """

    model_config = SettingsConfigDict(env_prefix="CLINIC_", frozen=True, extra="forbid", env_ignore_empty=True)

    systems: Literal["local", "http"] = "local"
    pattern: Pattern = "canary"
    quick: bool = False
    host: str = "127.0.0.1"
    port: int = Field(default=8090, ge=0, le=65535)
    timeout: timedelta = timedelta(seconds=20)
    perplexity_url: str = "https://api.perplexity.ai"
    perplexity_api_key: SecretStr = SecretStr("")
    perplexity_preset: str = "low"
    lightrag_url: str = "http://127.0.0.1:9621"
    lightrag_api_key: SecretStr = SecretStr("")
    lightrag_price: float = Field(default=0.002, ge=0)

    @model_validator(mode="after")
    def _can_ask(self) -> Self:
        if self.systems == "http" and not self.perplexity_api_key.get_secret_value():
            raise ValueError("CLINIC_PERPLEXITY_API_KEY is missing; set it, or CLINIC_SYSTEMS=local to try without")
        if self.timeout <= timedelta():
            raise ValueError(f"CLINIC_TIMEOUT is {self.timeout}; write a time above 0, such as PT20S")
        return self

    @property
    def timeout_s(self) -> float:
        """The time limit of a system in seconds."""
        return self.timeout.total_seconds()
