# SPDX-License-Identifier: Apache-2.0
"""Clouds to build and test on: emulated pods in memory, real pods of unmodified services.

Stands for the world outside Trio2o and imports nothing of it beyond this package.
"""
