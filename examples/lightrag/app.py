"""The service over HTTP: ``POST /ask``, ``POST /feedback``, and how it is doing."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from turnout import Turnout

from . import drills
from .service import FLAG, Clinic
from .settings import Settings
from .systems.pick import opened


class Question(BaseModel):
    """A question of a person, about whom ``attributes`` tells what rules, cohorts and regions ask for."""

    person: Annotated[str, Field(min_length=1, max_length=200)]
    question: Annotated[str, Field(min_length=3, max_length=2000)]
    attributes: dict[str, str] = Field(default_factory=dict[str, str], max_length=20)


class Feedback(BaseModel):
    """How satisfied a person was with the answer ``id``, from 1 to 5."""

    id: str
    satisfaction: Annotated[int, Field(ge=1, le=5)]


def create_app(settings: Settings, turnout: Turnout) -> FastAPI:
    """The application. Whoever made ``turnout`` closes it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with opened(settings) as systems:
            app.state.clinic = Clinic(turnout, systems, settings)
            yield

    app = FastAPI(title="Clinical questions", lifespan=lifespan)

    @app.post("/ask")
    async def ask(asked: Question) -> dict[str, Any]:
        try:
            return asdict(await _clinic(app).ask(asked.person, asked.question, asked.attributes))
        # No system could answer; what they raised has been reported, and is no business of the person's.
        except Exception as error:
            raise HTTPException(503, "no answer system is available; try again in a moment") from error

    @app.post("/feedback")
    async def feedback(given: Feedback) -> dict[str, bool]:
        return {"counted": _clinic(app).rate(given.id, given.satisfaction)}

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/lightrag/healthz")
    async def lightrag_healthz() -> dict[str, str]:
        """What a blue-green rollout asks before and while it moves people over."""
        if (drill := turnout.string(drills.FLAG, None, "none")) != "none":
            raise HTTPException(503, f"LightRAG is not well: a drill ({drill})")
        return {"status": "ok"}

    @app.get("/status")
    async def status() -> dict[str, Any]:
        return asdict(turnout.status) | {"bound": turnout.bound(FLAG).model_dump(mode="json", exclude_none=True)}

    return app


def _clinic(app: FastAPI) -> Clinic:
    clinic: Clinic = app.state.clinic
    return clinic
