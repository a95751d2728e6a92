# SPDX-License-Identifier: Apache-2.0
"""Read the query of a list: the page, the filters and the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trio2o.gateway.lists.merge import Order
from trio2o.gateway.lists.paging import Query
from trio2o.resources import SortKey
from trio2o.web.numbers import parse_number

if TYPE_CHECKING:
    from trio2o.gateway.handlers.list import List

#: Sort keys of a list, each with whether it descends.
Sorts = list[tuple[str, bool]]


@dataclass(frozen=True)
class PageQuery:
    """The page that a query asks for, and the rest of the query.

    :ivar is_limited: whether requests to pods need a limit
    :ivar filters: query parameters that are not about the page
    :ivar link_limit: number of items from which on a page has a next link
    """

    limit: int
    marker: str | None
    offset: int
    is_limited: bool
    filters: Query
    link_limit: int

    @property
    def needed(self) -> int:
        """How many items of the merged list are needed."""
        return self.offset + self.limit

    @classmethod
    def unpaged(cls, query: Query, listing: List) -> PageQuery:
        """Return the page of a list without pages, whose pods get the complete query."""
        limit = parse_number(dict(query).get('limit', ''))
        return cls(listing.max_limit, None, 0, False, query, listing.max_limit if limit is None else limit)

    @classmethod
    def parse(cls, query: Query, listing: List) -> PageQuery | None:
        """Return the page of a query; None if the query is invalid, so that a pod has to refuse it."""
        values: dict[str, str] = {}
        filters = []
        for name, value in query:
            if name not in ('limit', 'marker') and not (name == 'offset' and listing.has_offset):
                filters.append((name, value))
            elif name not in values or not listing.does_first_value_count:
                values[name] = value
            if name == 'limit' and _limit(value, listing.max_limit) is None:
                return None
        if not values.get('marker') and listing.may_marker_be_empty:
            values.pop('marker', None)
        offset = parse_number(values.get('offset', '0'))
        size = _limit(values.get('limit'), listing.max_limit)
        if offset is None or size is None:
            return None
        return cls(size, values.get('marker'), offset, 'limit' in values or offset > 0, filters, size)


def _limit(text: str | None, max_limit: int) -> int | None:
    """Return the page size for the value of ``limit``; None if that is not a number."""
    if text is None:
        return max_limit
    limit = parse_number(text)
    if limit is None and text.isascii() and text.isdecimal():
        return max_limit  # a number that is too long to be read
    return None if limit is None else min(limit, max_limit)


@dataclass(frozen=True)
class ListOrder:
    """The order of one list.

    :ivar is_by_time: whether it goes by the time of creation first
    :ivar is_descending: whether its first key descends
    :ivar is_newest_first: whether it goes by the time of creation alone, the newest first
    :ivar fields: of items that show what it goes by
    """

    order: Order
    is_by_time: bool
    is_descending: bool
    is_newest_first: bool
    fields: tuple[str, ...]

    @classmethod
    def of(cls, listing: List, sorts: Sorts) -> ListOrder:
        """Return the order. Items with equal sort keys are sorted by time of creation where pods do so, then by id."""
        first, is_descending = sorts[0]
        time_key = listing.default_sort[0]
        if listing.has_offset and time_key not in [name for name, _descends in sorts]:
            sorts = [*sorts, (time_key, is_descending)]
        keys = [listing.sort_keys.get(name, SortKey(name)) for name, _descends in sorts]
        order = Order(
            tuple(key.of for key in keys),
            (*(descends for _name, descends in sorts), listing.is_id_descending(is_descending)),
        )
        is_by_time = first == time_key
        is_newest_first = is_by_time and is_descending and len(sorts) == 1
        return cls(order, is_by_time, is_descending, is_newest_first, tuple(key.name for key in keys))
