# SPDX-License-Identifier: Apache-2.0
"""Absolute limits, and what is used of them, over all pods."""

from trio2o.gateway.sum import Sum, add_used
from trio2o.web.operations import Operation

OPERATIONS = [Operation('limits.show', 'GET', '/limits', Sum(add_used))]
