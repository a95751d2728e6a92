# SPDX-License-Identifier: Apache-2.0
"""Read the complete list of a resource type from one pod, page by page, with Trio2o's own identity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from trio2o import exception
from trio2o.db import server_group_copies
from trio2o.db.database import Database
from trio2o.pods.podapi import PodApi
from trio2o.quota.usage import VERSIONS
from trio2o.resources import Item, Resource
from trio2o.web import json_body

_PAGE = 500
#: No pod has so many resources of one kind, even if its pages are short: a million in pages of 100.
_MAX_PAGES = 10_000


def pages(
    db: Database,
    api: PodApi,
    resource: Resource,
    *,
    marker: str | None = None,
    limit: int = _PAGE,
    has_copies: bool = False,
    **query: str,
) -> Iterator[list[Item]]:
    """Yield the resources that a pod has, of all projects, in the order of the pod's lists.

    :param marker: id of the last resource to skip; ignored where lists have offsets only
    :param has_copies: whether to include copies of server groups, which stand for a group of another pod
    :param query: filters for the pod's list; ignored where lists have offsets only
    :raises PodError: the pod did not answer, or not with such a list, or its list does not end
    :raises PodRefused: the pod answered 4xx, for example as it has no resource with the marker's id
    """
    if resource.lists_by_offset:
        yield from _pages_by_offset(db, api, resource, limit, has_copies)
        return
    query = {'all_tenants': '1', 'limit': str(limit), **query}
    if marker is not None:
        query['marker'] = marker
    markers: set[str] = set()
    while True:
        path = f'{resource.path}/detail?{urlencode(query)}'
        document = api.get_list(path, VERSIONS[resource.service], has_marker='marker' in query)
        page = _items(api, resource, document)
        yield page
        # Cinder names the links after one resource or after many: volumes_links, transfer_links.
        if not page or not any(document[name] for name in document if name.endswith('_links')):
            return
        query['marker'] = page[-1]['id']
        _check_progress(api, resource, page, markers)


def _pages_by_offset(
    db: Database, api: PodApi, resource: Resource, limit: int, has_copies: bool
) -> Iterator[list[Item]]:
    offset = 0
    markers: set[str] = set()
    while True:
        query = {'all_projects': 'True', 'limit': str(limit), 'offset': str(offset)}
        document = api.get_list(f'{resource.path}?{urlencode(query)}', VERSIONS[resource.service])
        page = _items(api, resource, document)
        yield page if has_copies else _without_copies(db, api.pod.id, resource, page)
        if not page:
            return
        offset += len(page)
        _check_progress(api, resource, page, markers)


def _check_progress(api: PodApi, resource: Resource, page: list[Item], markers: set[str]) -> None:
    """Raise an error if a pod's list does not end.

    :param markers: last ids of the pages before this one; that of this page is added
    :raises PodNoAnswer: the pod repeats a page, or lists more than it can have
    """
    last = str(page[-1]['id'])
    if last in markers or len(markers) >= _MAX_PAGES:
        raise exception.PodNoAnswer(api.pod.name, f'its list of {resource.collection} does not end', is_down=False)
    markers.add(last)


def _items(api: PodApi, resource: Resource, document: Any) -> list[Item]:
    """:raises PodNoAnswer: the document is no list of such resources"""
    items = json_body.items(document, resource.collection)
    if items is None:
        raise exception.PodNoAnswer(api.pod.name, f'the answer is not a list of {resource.collection}')
    return items


def _without_copies(db: Database, pod_id: str, resource: Resource, page: list[Item]) -> list[Item]:
    """Drop copies of server groups, which do not count in a quota.

    Also drop all groups of a project that has a copy being created in the pod: the id of that copy is not recorded
    yet, so any of them may be the copy.
    """
    # Read in this order: a copy that is finished between the two queries has a recorded id by the second.
    busy = server_group_copies.projects_making_copies(db, pod_id)
    known = server_group_copies.find_copies(db, pod_id, [item['id'] for item in page])
    return [item for item in page if item['id'] not in known and resource.owner_of(item, '') not in busy]
