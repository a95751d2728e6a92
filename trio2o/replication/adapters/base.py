# SPDX-License-Identifier: Apache-2.0
"""The base class of adapters: how the objects of one kind are read from and written to one pod.

An adapter takes no decision. ``reconcile`` plans the steps and an adapter applies them, one at a time. It need not
check the shape of a pod's answer: ``replication.pod_objects`` turns what fails on a malformed one into PodNoAnswer.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from trio2o import exception
from trio2o.pods.identity import Identity
from trio2o.pods.podapi import PodApi
from trio2o.replication.reconcile import Attributes, PodObject, Shape, Step

#: Items in a page.
PAGE = 1000
#: No pod has so many replicated objects, however short its pages are.
_MAX_PAGES = 10_000

Json = Mapping[str, Any]


class Adapter(abc.ABC):
    """One kind of object.

    :ivar kind: its name in the database
    :ivar service: which API of a pod has it
    :ivar has_own_ids: pods choose the ids of this kind themselves, and objects of different pods are the same one
        if their names are equal
    :ivar has_owners: a pod lists the objects of one owner at a time
    """

    kind: str
    service: str
    shape: Shape
    has_own_ids: bool = False
    has_owners: bool = False

    def owners(self, identity: Identity) -> Collection[str]:
        """Return the owners whose objects are looked for in a pod that joins; used if ``has_owners``."""
        return ()

    @abc.abstractmethod
    def list_all(self, api: PodApi, owners: Collection[str]) -> list[PodObject]:
        """List the objects of a pod; of these owners only, if ``has_owners``."""

    @abc.abstractmethod
    def read(self, api: PodApi, key: str, bottom_id: str) -> PodObject | None:
        """Read one object; None if the pod does not have it."""

    @abc.abstractmethod
    def create(self, api: PodApi, desired: Attributes) -> str:
        """Create an object. Attributes that a create request cannot hold are set by steps afterwards.

        :returns: its id in the pod
        """

    @abc.abstractmethod
    def apply(self, api: PodApi, found: PodObject, step: Step) -> None:
        """Apply one step to an object."""

    @abc.abstractmethod
    def delete(self, api: PodApi, found: PodObject) -> None:
        """Delete an object."""

    def is_used(self, api: PodApi, bottom_id: str) -> bool:
        """Return whether the pod uses an object, and so may refuse a change that other pods allow."""
        return False


def list_pages(
    api: PodApi,
    path: str,
    version: str,
    member: str,
    query: Mapping[str, str],
    *,
    links: str = '',
    marker_of: Callable[[Json], str] = lambda item: item['id'],
) -> Iterator[Json]:
    """Read a list page by page and yield its items.

    :param member: key of the items in a page
    :param links: key that all pages but the last have; '' if an empty page is the last
    :param marker_of: returns the marker that an item is named by
    :raises PodNoAnswer: the list does not end
    """
    query = dict(query)
    markers: set[str] = set()
    while True:
        document = api.get_list(f'{path}?{urlencode(query)}', version, has_marker='marker' in query)
        page = document[member]
        yield from page
        # A pod may have a smaller limit than ``PAGE``, so a short page need not be the last.
        if not page or (links and links not in document):
            return
        query['marker'] = marker_of(page[-1])
        if query['marker'] in markers or len(markers) >= _MAX_PAGES:
            raise exception.PodNoAnswer(api.pod.name, f'its list of {member} does not end', is_down=False)
        markers.add(query['marker'])
