"""What Turnout needs from the outside world, as protocols; `turnout.adapters` implements them.

Every method may raise `turnout.domain.errors.Unavailable` when the technology behind it does not answer.
"""

from turnout.ports.freezes import FreezeStore
from turnout.ports.metrics import (
    ArmReading,
    ExperimentReading,
    FractionReading,
    MetricSource,
    PointReading,
    Question,
    Reading,
    SeriesReading,
    SplitReading,
)
from turnout.ports.notify import Notice, Notifier
from turnout.ports.outcomes import OutcomeStatistics, OutcomeStore, Receipt
from turnout.ports.stores import (
    AuditEntry,
    Delivery,
    Evidence,
    FlagChange,
    FlagRecord,
    FlagStore,
    Published,
    RolloutRecord,
    RolloutStore,
    Stores,
)
from turnout.ports.traffic import HealthProbe, Probed, Prober, RouterSplit, RouterState, TrafficRouter

__all__ = [
    "ArmReading",
    "AuditEntry",
    "Delivery",
    "Evidence",
    "ExperimentReading",
    "FlagChange",
    "FlagRecord",
    "FlagStore",
    "FractionReading",
    "FreezeStore",
    "HealthProbe",
    "MetricSource",
    "Notice",
    "Notifier",
    "OutcomeStatistics",
    "OutcomeStore",
    "PointReading",
    "Probed",
    "Prober",
    "Published",
    "Question",
    "Reading",
    "Receipt",
    "RolloutRecord",
    "RolloutStore",
    "RouterSplit",
    "RouterState",
    "SeriesReading",
    "SplitReading",
    "Stores",
    "TrafficRouter",
]
