"""Every strategy there is. A new one is a new file and its name here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from turnout.strategies.ab_test import AbTest
from turnout.strategies.blue_green import BlueGreen
from turnout.strategies.canary import Canary
from turnout.strategies.cohort import Cohort
from turnout.strategies.geographic import Geographic
from turnout.strategies.gradual import Gradual
from turnout.strategies.multivariate import Multivariate
from turnout.strategies.shadow import Shadow

Strategy = Annotated[
    BlueGreen | Canary | Gradual | Shadow | Cohort | Geographic | AbTest | Multivariate, Field(discriminator="kind")
]
