# SPDX-License-Identifier: Apache-2.0
"""Keystone's project tree, read with Trio2o's own identity and cached for ``[quota] tree_seconds``.

Keystone never moves a project in its tree, so a cached answer can only lack projects that are new.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from cachetools import LRUCache, TTLCache
from oslo_config import cfg

from trio2o import exception
from trio2o.pods.identity import Identity

LOG = logging.getLogger(__name__)

#: Projects whose relatives are cached.
_CACHE_SIZE = 10000

Projects = tuple[str, ...]


class _Cache:
    """The relatives of projects, with the last known ones for when Keystone does not answer."""

    def __init__(self, seconds: float) -> None:
        self._fresh: TTLCache[str, Projects] = TTLCache(_CACHE_SIZE, seconds)
        self._last: LRUCache[str, Projects] = LRUCache(_CACHE_SIZE)
        self._lock = threading.Lock()

    def fresh(self, project_id: str) -> Projects | None:
        with self._lock:
            return self._fresh.get(project_id)

    def last(self, project_id: str) -> Projects | None:
        with self._lock:
            return self._last.get(project_id)

    def set(self, project_id: str, found: Projects) -> None:
        with self._lock:
            self._fresh[project_id] = self._last[project_id] = found

    def drop(self, project_id: str) -> None:
        with self._lock:
            self._fresh.pop(project_id, None)
            self._last.pop(project_id, None)


class ProjectTree:
    def __init__(self, conf: cfg.ConfigOpts, identity: Identity) -> None:
        self._identity = identity
        self._above = _Cache(conf.quota.tree_seconds)
        self._below = _Cache(conf.quota.tree_seconds)

    def ancestors(self, project_id: str) -> Projects:
        """Return the projects above a project, the nearest first; domains are left out.

        :raises ServiceUnavailable: Keystone does not answer, and no earlier answer is cached
        """
        return self._cached(self._above, project_id, self._read_above)

    def descendants(self, project_id: str) -> Projects:
        """Return all projects below a project, in no order.

        :raises ServiceUnavailable: Keystone does not answer, and no earlier answer is cached
        """
        return self._cached(self._below, project_id, self._read_below)

    def _cached(self, cache: _Cache, project_id: str, read: Callable[[str], Iterable[str]]) -> Projects:
        found = cache.fresh(project_id)
        if found is not None:
            return found
        try:
            found = tuple(read(project_id))
        except exception.ServiceUnavailable as error:
            found = cache.last(project_id)
            if found is None:
                raise
            LOG.warning('Failed to read the project tree, using the last known one: %s', error)
        cache.set(project_id, found)
        return found

    def _read_above(self, project_id: str) -> Iterable[str]:
        project = self._identity.project(project_id, 'parents_as_ids')
        parents = project.get('parents') if project else None
        domain = project.get('domain_id') if project else None
        while parents:
            (parent, parents) = next(iter(parents.items()))
            if parent != domain:
                yield parent
            # This project is new if the cached projects below its parent lack it.
            if project_id not in (self._below.last(parent) or ()):
                self._below.drop(parent)

    def _read_below(self, project_id: str) -> Iterable[str]:
        project = self._identity.project(project_id, 'subtree_as_ids')
        pending = [project.get('subtree') if project else None]
        while pending:
            for child, grandchildren in (pending.pop() or {}).items():
                yield child
                pending.append(grandchildren)
