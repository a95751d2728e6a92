# SPDX-License-Identifier: Apache-2.0
"""Requests of tenants and operators to the Nova API-GW, the Cinder API-GW and the Admin API."""
