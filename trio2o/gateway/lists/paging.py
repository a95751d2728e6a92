# SPDX-License-Identifier: Apache-2.0
"""Read a list of a pod in pages: by markers, by offsets, or in pages that grow while lists are merged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trio2o.resources import Item
from trio2o.web import json_body

if TYPE_CHECKING:
    from trio2o.gateway.handlers.list import List
    from trio2o.gateway.lists.cursor import PodCursor
    from trio2o.gateway.lists.query import PageQuery
    from trio2o.web.call import Call

Query = list[tuple[str, str]]
Document = Mapping[str, Any]

#: Items beyond the limit to ask a pod for, so that the order is mostly certain after one page.
SPARE = 4
#: Factor by which each further page is longer: a list that needs a second page often needs all items.
GROWTH = 4
#: Least number of items to ask each pod for if the page needs as many, because pods may have very different shares.
LEAST_SHARE = 50


class Paging:
    """A list without pages. The base of those with pages.

    :param collection: key of the items in a pod's answer
    """

    #: Number of pages after which a pod counts as failed, in case it makes up items without end.
    max_pages = 1000

    def __init__(self, collection: str) -> None:
        self.collection = collection

    def query(self, cursor: PodCursor) -> Query:
        """Return the query parameters that ask for the next page."""
        return []

    def items(self, document: Document) -> list[Item] | None:
        """Return the items of a page as the pod gave them; None if the document has no list where one is needed."""
        found = json_body.at(document, self.collection)
        return json_body.objects(found) if isinstance(found, list) else None

    def advance(self, cursor: PodCursor, document: Document, items: list[Item]) -> None:
        """Move the cursor after a page, and mark it as done after the last page."""
        cursor.read.is_done = True


class MarkerPaging(Paging):
    """Pages of one size; each starts after the last item of the one before, and a link says that there are more.

    :param links_key: key of the links in a pod's answer
    :param marker: field of an item that is its marker
    """

    def __init__(self, collection: str, links_key: str, page_size: int, marker: str = 'id') -> None:
        super().__init__(collection)
        self.links_key, self.page_size, self.marker = links_key, page_size, marker

    def query(self, cursor: PodCursor) -> Query:
        query = [('limit', str(self.page_size))]
        return query if cursor.marker is None else [*query, ('marker', cursor.marker)]

    def advance(self, cursor: PodCursor, document: Document, items: list[Item]) -> None:
        cursor.read.is_done = not items or not document.get(self.links_key)
        if items:
            cursor.marker = str(items[-1].get(self.marker))


class OffsetPaging(Paging):
    """Pages of the pod's own size, which is not known. Each starts after so many items; an empty one is the last."""

    def query(self, cursor: PodCursor) -> Query:
        return [('offset', str(len(cursor.read.items)))] if cursor.read.items else []

    def items(self, document: Document) -> list[Item] | None:
        return json_body.items(document, self.collection)

    def advance(self, cursor: PodCursor, document: Document, items: list[Item]) -> None:
        cursor.read.is_done = not items
        if items:
            cursor.marker = str(items[-1].get('id'))  # only to notice that a pod repeats a page


class GrowingPaging(Paging):
    """Pages for a merge: each pod lists a little more than its share of the page, and more each time it has to.

    So the cost of a long page does not grow with the number of pods: 100 pods are not asked for 1,000 items each.

    :param pods: number of pods that list items
    :param is_merged: whether the items are merged, instead of answered in the order of the only pod
    """

    max_pages = 200

    def __init__(self, listing: List, call: Call, query: PageQuery, *, pods: int, is_merged: bool) -> None:
        super().__init__(listing.resource.collection)
        self._links_key = listing.links_key
        self._max_limit = listing.max_limit
        self._is_paged = listing.is_paged(call)
        self._has_marker = query.marker is not None
        #: Whether nothing can be merged before all is read.
        self.reads_all = is_merged and listing.is_sort_hidden
        share = max(query.needed, 1)
        if is_merged:
            share = max(math.ceil(share / max(pods, 1)), min(share, LEAST_SHARE)) + SPARE
        self._size = share
        is_shared = self._is_paged and not self.reads_all and share < self._max_limit
        self._is_limited = query.is_limited or is_shared

    def grow(self) -> None:
        """Make the next pages longer than those read so far."""
        self._size *= GROWTH

    def query(self, cursor: PodCursor) -> Query:
        query = [('limit', str(self._page_size(cursor)))] if self._is_limited else []
        return query if cursor.marker is None else [*query, ('marker', cursor.marker)]

    def items(self, document: Document) -> list[Item] | None:
        return json_body.items(document, self.collection)

    def advance(self, cursor: PodCursor, document: Document, items: list[Item]) -> None:
        if not cursor.read.items and isinstance(document.get('count'), int):
            cursor.count = document['count']
        cursor.read.is_done = not items or not self._has_more(cursor, document, items)
        if items:
            cursor.marker = str(items[-1].get('id'))
            cursor.is_marker_owner = False

    def _has_more(self, cursor: PodCursor, document: Document, items: list[Item]) -> bool:
        if not self._is_paged:
            return False
        if not self._links_key:
            return True  # A pod may have a smaller limit of its own, so only an empty page is certainly the last.
        return any(link.get('rel') == 'next' for link in json_body.objects_at(document, self._links_key))

    def _page_size(self, cursor: PodCursor) -> int:
        if cursor.share is not None and not cursor.read.items:
            return min(cursor.share + SPARE, self._max_limit)
        # Without a marker of its own in a pod, the client's marker is anywhere in the pod's list.
        if self.reads_all or (self._has_marker and cursor.marker is None):
            return self._max_limit
        return min(self._size, self._max_limit)
