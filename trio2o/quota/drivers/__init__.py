# SPDX-License-Identifier: Apache-2.0
"""Drivers that come with Trio2o, one a file."""
