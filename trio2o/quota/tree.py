# SPDX-License-Identifier: Apache-2.0
"""Keystone's project tree, read with Trio2o's own identity and remembered for a while.

Projects never move in it; so what is remembered can only lack what is new.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import Any

from oslo_config import cfg

from trio2o import exception
from trio2o.pods.identity import Identity

LOG = logging.getLogger(__name__)


class Tree:
    def __init__(self, conf: cfg.ConfigOpts, identity: Identity) -> None:
        self._identity = identity
        self._seconds = conf.quota.tree_seconds
        self._above: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._below: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._lock = threading.Lock()

    def ancestors(self, project_id: str) -> tuple[str, ...]:
        """The projects above, nearest first; domains are none.

        :raises ServiceUnavailable: Keystone does not answer, and nothing is remembered
        """
        return self._remembered(self._above, project_id, self._read_above)

    def descendants(self, project_id: str) -> tuple[str, ...]:
        """All projects below, in no order.

        :raises ServiceUnavailable: Keystone does not answer, and nothing is remembered
        """
        return self._remembered(self._below, project_id, self._read_below)

    def _remembered(self, cache: dict[str, Any], project_id: str, read: Any) -> tuple[str, ...]:
        now = time.monotonic()
        known = cache.get(project_id)
        if known is not None and known[0] > now:
            return tuple(known[1])
        try:
            found = tuple(read(project_id))
        except exception.ServiceUnavailable as error:
            if known is None:
                raise
            LOG.warning('going on with the projects that are known: %s', error)
            found = known[1]
        with self._lock:
            cache[project_id] = now + self._seconds, found
        return found

    def _read_above(self, project_id: str) -> Iterable[str]:
        project = self._identity.project(project_id, 'parents_as_ids')
        parents = project.get('parents') if project else None
        domain = project.get('domain_id') if project else None
        while parents:
            (parent, parents) = next(iter(parents.items()))
            if parent != domain:
                yield parent
            # What is new below is not among what is remembered of those above.
            if project_id not in self.known_below(parent):
                self._below.pop(parent, None)

    def known_below(self, project_id: str) -> tuple[str, ...]:
        known = self._below.get(project_id)
        return known[1] if known is not None else ()

    def _read_below(self, project_id: str) -> Iterable[str]:
        project = self._identity.project(project_id, 'subtree_as_ids')
        pending = [project.get('subtree') if project else None]
        while pending:
            for child, grandchildren in (pending.pop() or {}).items():
                yield child
                pending.append(grandchildren)
