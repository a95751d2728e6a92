# SPDX-License-Identifier: Apache-2.0
"""Lists in pages: limit and marker in, ``<collection>_links`` with the next page out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from trio2o.api.schemas import MAX_LIMIT
from trio2o.web.call import Answer, Call

Json = dict[str, Any]

_TRUE = frozenset({'true', 'True', '1'})


def limit_of(query: dict[str, str]) -> int:
    """How many the page may hold; like Nova and Cinder, more than the most is the most."""
    return min(int(query.get('limit', MAX_LIMIT)), MAX_LIMIT)


def is_true(query: dict[str, str], name: str) -> bool:
    return query.get(name, 'false') in _TRUE


def filters_of(query: dict[str, str], *others: str) -> Json:
    """What is left of a query without paging and ``others``."""
    return {name: value for name, value in query.items() if name not in ('limit', 'marker', *others)}


def answer(call: Call, collection: str, items: Sequence[Json], limit: int, last: Any) -> Answer:
    """A page.

    :param last: marker of the last item; there is a next page when the page is full
    """
    document: Json = {collection: list(items)}
    if items and len(items) == limit:
        query = [(name, value) for name, value in call.query if name != 'marker']
        link = f'{call.base_url}{call.prefix}{call.path}?{urlencode([*query, ("marker", str(last))])}'
        document[f'{collection}_links'] = [{'rel': 'next', 'href': link}]
    return Answer.of(document)
