# SPDX-License-Identifier: Apache-2.0
"""Unmodified OpenStack services behind the gateway, driven by the stock clients."""
