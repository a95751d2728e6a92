# SPDX-License-Identifier: Apache-2.0
"""Trio2o: one OpenStack out of many."""
