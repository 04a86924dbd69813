"""Turnout as an OpenFeature provider, for services that evaluate flags through OpenFeature's own API.

::

    from openfeature import api
    from turnout.client.openfeature import TurnoutProvider

    api.set_provider_and_wait(TurnoutProvider())
    api.get_client().get_string_value("answer-engine", "perplexity", EvaluationContext(user_id))

Needs the ``openfeature`` extra. ``Turnout.resolve`` gives the same answers at a fraction of the cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar, cast

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent, ProviderEventDetails
from openfeature.exception import ErrorCode, ProviderFatalError, ProviderNotReadyError
from openfeature.flag_evaluation import FlagMetadata, FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata
from openfeature.track import TrackingEventDetails, TrackingValue

from turnout.client.assignment import Assignment, State
from turnout.client.turnout import Turnout
from turnout.resolver import Resolution

NAME: Final = "turnout"
_MEASUREMENTS: Final = frozenset({"ok", "latency_ms", "quality", "satisfaction", "cost"})
_IDENTITY: Final = frozenset({"id", "variant", "generation", "unit"})

Value = TypeVar("Value")
Structure = Sequence[FlagValueType] | Mapping[str, FlagValueType]


class TurnoutProvider(AbstractProvider):
    """Answers OpenFeature from a Turnout client.

    Types are strict: a boolean is no number, an integer is a float too, a float without a fraction is an integer too,
    and everything else is TYPE_MISMATCH with the caller's default. Events: READY, STALE when the controller cannot be
    asked and the last good flags apply, CONFIGURATION_CHANGED with exactly the flags that changed.
    """

    def __init__(self, client: Turnout | None = None, *, deadline: float = 10.0) -> None:
        """``client`` stays the caller's to close; without one the provider makes its own from the environment.

        ``deadline`` is how many seconds ``initialize`` may wait for the controller.
        """
        super().__init__()
        self._given: Final = client
        self._client = client
        self._deadline: Final = deadline
        self._removals: list[Callable[[], None]] = []

    def get_metadata(self) -> Metadata:
        """The provider's name."""
        return Metadata(NAME)

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Wait for the controller's flags, or make do with those on disk, which leaves the provider STALE.

        Raises ProviderFatalError when the controller refuses the token and ProviderNotReadyError when there are no
        flags at all; the provider becomes READY by itself if they arrive later.
        """
        self._release()
        client = self._client = self._client or Turnout(wait=0)
        self._removals = [client.on_change(self._changed), client.on_state(self._moved)]
        if client.wait_ready(self._deadline):
            return
        status = client.status
        if status.state == "stale":
            self._stale_after_ready()
        elif status.denied:
            raise ProviderFatalError(status.last_error)
        elif status.state == "not_ready":
            raise ProviderNotReadyError(status.last_error or "no flags have arrived yet")

    def shutdown(self) -> None:
        """Stop following the client, and close it if it is the provider's own."""
        self._release()
        if self._given is None and self._client is not None:
            self._client.close()
            self._client = None

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """The flag's value if it is a boolean."""
        return self._details(flag_key, default_value, evaluation_context, _boolean)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """The flag's value if it is a text."""
        return self._details(flag_key, default_value, evaluation_context, _text)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """The flag's value if it is a number without a fraction."""
        return self._details(flag_key, default_value, evaluation_context, _integer)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """The flag's value if it is a number."""
        return self._details(flag_key, default_value, evaluation_context, _float)

    def resolve_object_details(
        self, flag_key: str, default_value: Structure, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[Structure]:
        """The flag's value if it is an object or a list. It is shared: read it, never change it."""
        return self._details(flag_key, default_value, evaluation_context, _structure)

    def track(
        self,
        tracking_event_name: str,
        evaluation_context: EvaluationContext | None = None,
        tracking_event_details: TrackingEventDetails | None = None,
    ) -> None:
        """Report an outcome for the context's unit.

        The attribute ``flag`` names the flag and the event's value counts for the metric of the event's name:
        ``track("quality", context, TrackingEventDetails(0.9, {"flag": "answer-engine"}))``. Further attributes that
        are numbers, and ``ok``, are measurements too. Without ``flag`` the event's name is the flag's key. The variant
        is the one that the context gets now, unless the attributes ``variant``, ``generation`` and ``decidedBy`` say
        what was served.
        """
        if self._client is None:
            return
        details = tracking_event_details or TrackingEventDetails()
        context = evaluation_context or EvaluationContext()
        attributes = dict(details.attributes)
        flag = attributes.pop("flag", None)
        if details.value is not None:
            attributes.setdefault(tracking_event_name if flag else "value", details.value)
        self._report(self._client, str(flag or tracking_event_name), context, attributes)

    def _report(
        self, client: Turnout, flag: str, context: EvaluationContext, attributes: dict[str, TrackingValue]
    ) -> None:
        measured: dict[str, object] = {name: value for name, value in attributes.items() if _measures(name, value)}
        served: Mapping[str, object] = attributes
        if served.get("variant") is None:
            found = client.evaluate(flag, context.targeting_key, context.attributes)
            served = {"variant": found.variant, **_scalars(found)}
        told = served.get("variant"), served.get("generation"), served.get("decidedBy")
        # Untyped attributes may hold anything: reporting checks them, and counts what it cannot use.
        variant, generation, decided_by = cast("tuple[str, int, str]", told)
        unit = context.targeting_key or ""
        assignment = Assignment(flag, variant, None, "TARGETING_MATCH", unit, generation, None, decided_by)
        report = cast("Callable[..., bool]", client.report)
        report(assignment, **measured)

    def _details(
        self,
        key: str,
        default: Value,
        context: EvaluationContext | None,
        convert: Callable[[object], Value | None],
    ) -> FlagResolutionDetails[Value]:
        client = self._client
        if client is None:
            return _failed(default, ErrorCode.PROVIDER_NOT_READY, "the provider is shut down")
        context = context or EvaluationContext()
        found = client.evaluate(key, context.targeting_key, context.attributes)
        if found.error_code is not None:
            code = ErrorCode(found.error_code)
            if client.status.state == "not_ready":
                code = ErrorCode.PROVIDER_NOT_READY
            return _failed(default, code, found.error_message, _scalars(found))
        if found.variant is None:
            return FlagResolutionDetails(default, reason=found.reason, flag_metadata=_scalars(found))
        value = convert(found.value)
        if value is None:
            message = f"variant {found.variant!r} of {key!r} is a {type(found.value).__name__}"
            return _failed(default, ErrorCode.TYPE_MISMATCH, message, _scalars(found))
        return FlagResolutionDetails(value, reason=found.reason, variant=found.variant, flag_metadata=_scalars(found))

    def _changed(self, keys: frozenset[str]) -> None:
        metadata: dict[str, bool | str | int | float] = {}
        revision = self._client.status.revision if self._client else None
        if revision is not None:
            metadata["revision"] = revision
        self.emit_provider_configuration_changed(ProviderEventDetails(sorted(keys), metadata=metadata))

    def _moved(self, state: State) -> None:
        if state == "ready":
            self.emit_provider_ready(ProviderEventDetails())
        elif state == "stale":
            self.emit_provider_stale(
                ProviderEventDetails(message=self._client.status.last_error if self._client else None)
            )

    def _stale_after_ready(self) -> None:
        # The SDK declares a provider ready once initialize returns, whatever was emitted before.
        api.add_handler(ProviderEvent.PROVIDER_READY, self._correct)
        self._removals.append(lambda: _forget(self._correct))

    def _correct(self, _details: EventDetails) -> None:
        if self._client is not None and self._client.status.state == "stale":
            self._moved("stale")

    def _release(self) -> None:
        removals, self._removals = self._removals, []
        for remove in removals:
            remove()


def _forget(handler: Callable[[EventDetails], None]) -> None:
    try:
        api.remove_handler(ProviderEvent.PROVIDER_READY, handler)
    except ValueError:
        # The application has removed all handlers already.
        return


def _failed(
    default: Value, code: ErrorCode, message: str | None, metadata: FlagMetadata | None = None
) -> FlagResolutionDetails[Value]:
    return FlagResolutionDetails(default, code, message, Reason.ERROR, flag_metadata=metadata or {})


def _scalars(found: Resolution) -> FlagMetadata:
    return {name: value for name, value in found.metadata.items() if isinstance(value, bool | int | float | str)}


def _measures(name: str, value: TrackingValue) -> bool:
    if name in _IDENTITY:
        return name == "id"
    return name in _MEASUREMENTS or (isinstance(value, int | float) and not isinstance(value, bool))


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) else None


def _float(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    return float(value) if isinstance(value, int | float) else None


def _structure(value: object) -> Structure | None:
    return cast("Structure", value) if isinstance(value, dict | list) else None
