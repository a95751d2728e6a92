# SPDX-License-Identifier: Apache-2.0
"""No limits: for benchmarks, and for clouds that limit tenants by other means."""

from __future__ import annotations

from trio2o.quota.amounts import Amounts
from trio2o.quota.base import Driver


class UnlimitedDriver(Driver):
    is_settable = False

    def defaults(self, class_name: str = 'default') -> Amounts:
        return {}

    def limits(self, project_id: str, user_id: str = '') -> Amounts:
        return {}
