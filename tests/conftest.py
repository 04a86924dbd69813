"""What all tests share: databases, and settings of numerical libraries."""

from __future__ import annotations

import os

from hypothesis import settings

# The searches of the example are many small products of matrices. A BLAS with a thread for every core spends more
# time on waiting for the others than on computing, the more so on a busy machine. It reads this when numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# How long an example takes depends on what else the machine does, and says nothing about what is tested.
settings.register_profile("turnout", deadline=None)
settings.load_profile("turnout")

pytest_plugins = ["tests.databases"]
