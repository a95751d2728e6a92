# SPDX-License-Identifier: Apache-2.0
"""How Cinder sorts and pages all its lists (cinder/api/common.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from oslo_utils import strutils

from trio2o import exception
from trio2o.cinder_apigw.hosts import BY_HOST
from trio2o.gateway.handlers.list import List
from trio2o.gateway.lists.paging import Query
from trio2o.gateway.lists.query import Sorts
from trio2o.resources import SortKey
from trio2o.web.call import Call


@dataclass(frozen=True)
class CinderList(List):
    """A list of the Block Storage API."""

    has_offset = True
    named = {'host': BY_HOST}
    does_first_value_count = True
    #: First version in which this list has pages; None if all versions have them.
    paged_since: ClassVar[tuple[int, int] | None] = None

    def is_paged(self, call: Call) -> bool:
        return self.paged_since is None or call.version is None or call.version >= self.paged_since

    def sorts(self, query: Query) -> Sorts | None:
        """Read ``sort``, or ``sort_key`` and ``sort_dir``; a pod refuses both at once, and unknown directions.

        The first value of each counts.
        """
        names = {name for name, _value in query}
        if 'sort' in names:
            values = [value for name, value in query if name == 'sort']
            if names & {'sort_key', 'sort_dir'}:
                return None
            pairs = [item.strip().partition(':') for item in values[0].strip().split(',')]
            found = [(key.strip(), direction.strip() or 'desc') for key, _colon, direction in pairs]
        else:
            keys = [value.strip() for name, value in query if name == 'sort_key']
            directions = [value.strip() for name, value in query if name == 'sort_dir']
            found = [(keys[0] if keys else 'created_at', directions[0] if directions else 'desc')]
        if any(direction not in ('asc', 'desc') for _key, direction in found):
            return None
        return [(key, direction == 'desc') for key, direction in found]

    def has_filters(self, filters: Query) -> bool:
        return not all(name in ('sort', 'sort_key', 'sort_dir', 'all_tenants') for name, _value in filters)

    def all_projects(self, call: Call) -> bool:
        """Return whether ``all_tenants`` is true. Cinder ignores it unless the caller is an admin."""
        return any(name == 'all_tenants' and strutils.bool_from_string(value) for name, value in call.query)

    def marker_not_found(self, call: Call, marker: str) -> exception.Trio2oException:
        return exception.NotFound(self.resource.missing.format(id=marker))


def shown_keys(*names: str, **shown: str) -> dict[str, SortKey]:
    """Return the sort keys of a list.

    :param names: keys that items show in a field of the same name
    :param shown: other keys, each with the field that shows it
    """
    return {name: SortKey(name) for name in names} | {name: SortKey(field) for name, field in shown.items()}
