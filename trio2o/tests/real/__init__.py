# SPDX-License-Identifier: Apache-2.0
"""Unmodified OpenStack services behind the gateway; brought up and stopped by `tools/test real`."""
