"""What services use: which variant a unit gets, and how it went.

The OpenFeature provider is in ``turnout.client.openfeature`` and needs the ``openfeature`` extra.
"""

from turnout.client.answer import Answer, Reason, RefusedAnswer
from turnout.client.assignment import Assignment, FlagSource, State, Status
from turnout.client.shadowing import Served
from turnout.client.turnout import Turnout
from turnout.guards.policy import ErrorBreaker, Policy, QualityBreaker

__all__ = [
    "Answer",
    "Assignment",
    "ErrorBreaker",
    "FlagSource",
    "Policy",
    "QualityBreaker",
    "Reason",
    "RefusedAnswer",
    "Served",
    "State",
    "Status",
    "Turnout",
]
