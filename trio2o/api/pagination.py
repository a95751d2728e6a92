# SPDX-License-Identifier: Apache-2.0
"""Pages of lists: read ``sort``, ``limit`` and ``marker``, and link the next page in ``<collection>_links``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any
from urllib.parse import urlencode

from oslo_utils import strutils

from trio2o import exception
from trio2o.api.schemas import MAX_LIMIT
from trio2o.web.call import Answer, Call

Json = dict[str, Any]
Sort = Sequence[tuple[str, str]]

_PAGING = ('limit', 'marker', 'sort')


def limit_of(query: dict[str, str]) -> int:
    """Return the size of the page; like Nova and Cinder, reduce a limit above the maximum."""
    return min(int(query.get('limit', MAX_LIMIT)), MAX_LIMIT)


def sort_of(query: dict[str, str], default: Sort) -> Sort:
    """Parse ``sort=az_name,pod_name:desc`` into names with ``asc`` or ``desc``; a repeated name is ignored."""
    if 'sort' not in query:
        return default
    found: dict[str, str] = {}
    for part in query['sort'].split(','):
        name, _colon, direction = part.partition(':')
        found.setdefault(name, direction or 'asc')
    return list(found.items())


def is_true(query: dict[str, str], name: str) -> bool:
    return strutils.bool_from_string(query.get(name))


def filters_of(query: dict[str, str], *others: str) -> Json:
    """Return a query without the parameters of paging and ``others``."""
    return {name: value for name, value in query.items() if name not in (*_PAGING, *others)}


def of(call: Call, collection: str, items: Sequence[Json], query: dict[str, str], key: str, default: Sort) -> Answer:
    """Answer with a page of a list that is completely in memory.

    :param key: name of the field that identifies an item; markers are values of it
    :param default: the order if the query names none; empty: the order of ``items``
    :raises BadRequest: no item has the marker
    """
    ordered = list(items)
    sort = sort_of(query, default)
    # Sorting is stable: sort by the least significant name first, which is the key, to make the order total.
    for name, direction in [(key, 'asc'), *reversed(sort)] if sort else ():
        ordered.sort(key=itemgetter(name), reverse=direction == 'desc')
    marker = query.get('marker')
    start = 0
    if marker is not None:
        start = next((at for at, item in enumerate(ordered, 1) if item[key] == marker), 0)
        if not start:
            raise exception.BadRequest(f"Invalid input for field 'marker': there is no {marker}.")
    limit = limit_of(query)
    page = ordered[start : start + limit]
    return answer(call, collection, page, limit, page[-1][key] if page else '')


def read(
    call: Call,
    collection: str,
    query: dict[str, str],
    list_: Callable[..., Sequence[Any]],
    view: Callable[[Any], Json],
    *,
    filters: Json,
    default: Sort,
    marker: Any = None,
) -> Answer:
    """Answer with a page of a list in the database, whose records have an ``id``.

    :param list_: lists records: takes the database, ``filters``, ``limit``, ``marker`` and ``sort``
    :param view: makes an item of a record
    :param default: the order if the query names none
    :param marker: the marker in the type of the records' ids; None: as it is in the query
    :raises BadRequest: no record has the marker
    """
    limit = limit_of(query)
    try:
        found = list_(
            call.runtime.db,
            filters=filters,
            limit=limit,
            marker=query.get('marker') if marker is None else marker,
            sort=sort_of(query, default),
        )
    except ValueError as error:
        raise exception.BadRequest(f"Invalid input for field 'marker': {error}") from error
    return answer(call, collection, [view(record) for record in found], limit, found[-1].id if found else '')


def answer(call: Call, collection: str, items: Sequence[Json], limit: int, last: Any) -> Answer:
    """Answer with a page.

    :param last: marker of the last item; there is a next page when the page is full
    """
    document: Json = {collection: list(items)}
    if items and len(items) == limit:
        query = [(name, value) for name, value in call.query if name != 'marker']
        link = f'{call.base_url}{call.prefix}{call.path}?{urlencode([*query, ("marker", str(last))])}'
        document[f'{collection}_links'] = [{'rel': 'next', 'href': link}]
    return Answer.of(document)
