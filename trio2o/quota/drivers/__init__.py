# SPDX-License-Identifier: Apache-2.0
"""Quota drivers that come with Trio2o."""
