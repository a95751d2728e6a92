# SPDX-License-Identifier: Apache-2.0
"""Tests of Trio2o: unit (pure functions), functional (emulated pods), real (real pods)."""

from trio2o import gc_tuning

# Tests run in processes with many modules; with Python's thresholds a sixth of their time is garbage collection.
gc_tuning.collect_less()
