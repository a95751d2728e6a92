# SPDX-License-Identifier: Apache-2.0
"""Clouds for development and tests: emulated pods in memory, and real pods of unmodified services.

This package takes the place of what is outside Trio2o, so it imports nothing of Trio2o but itself.
"""
