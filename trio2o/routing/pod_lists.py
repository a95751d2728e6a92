# SPDX-License-Identifier: Apache-2.0
"""Reading all that a pod has of a kind, page by page and with Trio2o's own identity, for jobs and the quota."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from trio2o import exception
from trio2o.db import server_group_copies
from trio2o.db.session import Database, utcnow
from trio2o.pods.podapi import PodApi
from trio2o.quota.usage import VERSIONS
from trio2o.resources import Item, Resource

_PAGE = 500


def pages(
    db: Database, api: PodApi, resource: Resource, *, marker: str | None = None, limit: int = _PAGE, **query: str
) -> Iterator[list[Item]]:
    """What a pod has of a kind, of all projects, in the order of its lists.

    :param marker: id of the last of what need not be read, where lists have markers
    :param query: what narrows the list, where it can be narrowed
    :raises PodError: it does not tell
    :raises Refused: it does not want to; there is no such marker, for one
    """
    if resource.is_sliced:
        yield from _slices(db, api, resource, limit)
        return
    query = {'all_tenants': '1', 'limit': str(limit), **query}
    if marker is not None:
        query['marker'] = marker
    while True:
        path = f'{resource.path}/detail?{urlencode(query)}'
        document = api.get(path, VERSIONS[resource.service]) or {}
        page = _items(api, resource, document)
        yield page
        # Cinder's names of its links are of the one, or of the many.
        if not page or not any(document[name] for name in document if name.endswith('_links')):
            return
        query['marker'] = page[-1]['id']


def _slices(db: Database, api: PodApi, resource: Resource, limit: int) -> Iterator[list[Item]]:
    offset = 0
    while True:
        query = {'all_projects': 'True', 'limit': str(limit), 'offset': str(offset)}
        document = api.get(f'{resource.path}?{urlencode(query)}', VERSIONS[resource.service]) or {}
        page = _items(api, resource, document)
        yield _without_twins(db, api.pod.id, resource, page)
        if not page:
            return
        offset += len(page)


def _items(api: PodApi, resource: Resource, document: Any) -> list[Item]:
    """:raises PodNoAnswer: it is no list of such resources"""
    items = document.get(resource.collection, []) if isinstance(document, dict) else None
    if not isinstance(items, list) or not all(isinstance(each, dict) and each.get('id') for each in items):
        raise exception.PodNoAnswer(api.pod.name, f'answered what is no list of {resource.collection}')
    return items


def _without_twins(db: Database, pod_id: str, resource: Resource, page: list[Item]) -> list[Item]:
    """What counts by itself; nothing of a project of which a twin is being made there, whose id is not known yet."""
    # In this order: what is made in between is among the ids then.
    busy = server_group_copies.being_made(db, resource.type, pod_id, utcnow())
    known = server_group_copies.top_ids(db, resource.type, pod_id, [item['id'] for item in page])
    return [item for item in page if item['id'] not in known and resource.owner_of(item, '') not in busy]
