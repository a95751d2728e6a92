# SPDX-License-Identifier: Apache-2.0
"""How Cinder sorts and pages, for all its lists (cinder/api/common.py)."""

from __future__ import annotations

from collections.abc import Callable

from oslo_utils.strutils import bool_from_string

from trio2o import exception
from trio2o.gateway.handlers.list import Paging, Query
from trio2o.resources import Item, Resource, SortKey
from trio2o.web.call import Call


def sorts(query: Query) -> list[tuple[str, bool]] | None:
    """Sort keys with their directions in either form; None for a pod to judge what is odd."""
    names = {name for name, _value in query}
    if 'sort' in names:
        values = [value for name, value in query if name == 'sort']
        if len(values) > 1 or names & {'sort_key', 'sort_dir'}:
            return None
        pairs = [item.strip().partition(':') for item in values[0].strip().split(',')]
        found = [(key.strip(), direction.strip() or 'desc') for key, _colon, direction in pairs]
    else:
        keys = [value.strip() for name, value in query if name == 'sort_key']
        directions = [value.strip() for name, value in query if name == 'sort_dir']
        if len(keys) > 1 or len(directions) > 1:
            return None
        found = [(keys[0] if keys else 'created_at', directions[0] if directions else 'desc')]
    if any(direction not in ('asc', 'desc') for _key, direction in found):
        return None
    return [(key, direction == 'desc') for key, direction in found]


def all_projects(call: Call) -> bool:
    """Whether the list is of every project; members may say so and are not heard."""
    return call.context.may_see_all and any(
        name == 'all_tenants' and bool_from_string(value) for name, value in call.query
    )


def sort_keys(*names: str, **shown: str) -> dict[str, SortKey]:
    """Sort keys that show under their own names, and those that show under others, if at all."""
    return {name: SortKey(name) for name in names} | {name: SortKey(field) for name, field in shown.items()}


def brief(*names: str) -> Callable[[Item], Item]:
    """What cuts an item of a detailed list down to one of the other."""

    def cut(item: Item) -> Item:
        return {name: item[name] for name in names if name in item}

    return cut


def paging(resource: Resource, links_key: str, since: tuple[int, int] | None = None) -> Paging:
    """:param since: first version with pages, if not all have them"""

    def bad_marker(call: Call, marker: str) -> exception.Trio2oException:
        return exception.NotFound(resource.missing.format(id=marker))

    return Paging(
        links_key=links_key,
        sorts=sorts,
        id_descends=lambda first_down: first_down,
        bad_marker=bad_marker,
        has_offset=True,
        is_paged=lambda call: since is None or call.version is None or call.version >= since,
    )
