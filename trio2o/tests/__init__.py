# SPDX-License-Identifier: Apache-2.0
"""Tests of Trio2o: unit (pure functions), functional (emulated pods), real (real pods)."""
