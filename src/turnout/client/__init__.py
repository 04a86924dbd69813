"""What services use: which variant a unit gets, and how it went.

The OpenFeature provider is in ``turnout.client.openfeature`` and needs the ``openfeature`` extra.
"""

from turnout.client.assignment import Assignment, FlagSource, State, Status
from turnout.client.shadowing import Served
from turnout.client.turnout import Turnout

__all__ = ["Assignment", "FlagSource", "Served", "State", "Status", "Turnout"]
