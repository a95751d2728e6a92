# SPDX-License-Identifier: Apache-2.0
"""Quota sets of projects, and quota classes: the limits that were set, and of those alone.

What is counted over all pods is limited at the top alone: of that pods are told that there is no limit, by default
and for whoever has limits of his own.

A pod shows all its limits and not which of them were set, so what is wanted is told by the requests; another limit
that was never set is the pod's own affair. The key is the project, or the class; where one user of a project
has limits, ``project:user``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from trio2o.pods.identity import Identity
from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.quota.amounts import COUNTED, UNLIMITED, is_counted
from trio2o.replication.kinds import QUOTA_CLASS, QUOTA_SET, VOLUME_QUOTA_CLASS
from trio2o.replication.reconcile import Found, Object, SetItems, Shape, Step

#: Kind of the default class, by service.
_CLASSES = {'compute': QUOTA_CLASS, 'volume': VOLUME_QUOTA_CLASS}
_DEFAULT = 'default'


class Wants(Protocol):
    """What is needed of the engine."""

    def wanted(self, kind: str, key: str) -> Object | None: ...

    def want(self, kind: str, key: str, wanted: Object | None, request_id: str | None = None) -> None: ...


def free_of_limits(engine: Wants, own_project: str | None) -> None:
    """Have no pod limit what is counted over all of them, nor what is brought there.

    :param own_project: that of Trio2o's own identity: where that makes key pairs, its limit would count
    """
    for service, kind in _CLASSES.items():
        known = engine.wanted(kind, _DEFAULT) or {}
        limits = known.get('limits', {})
        missing = {name: UNLIMITED for name in COUNTED[service] if limits.get(name) != UNLIMITED}
        if missing:
            engine.want(kind, _DEFAULT, {'name': _DEFAULT, 'limits': {**limits, **missing}})
    if own_project:
        own = (engine.wanted(QUOTA_SET, own_project) or {}).get('limits', {})
        if own.get('key_pairs') != UNLIMITED:
            engine.want(QUOTA_SET, own_project, {'name': own_project, 'limits': {**own, 'key_pairs': UNLIMITED}})


def limited(service: str, found: Found | None) -> dict[str, int]:
    """Limits that a pod has on what is counted over all pods."""
    limits = found.wanted['limits'] if found is not None else {}
    return {name: limit for name, limit in limits.items() if is_counted(name, service) and limit >= 0}


@dataclass
class Quotas:
    """:ivar path: of the collection; ``member``: key of one in a body"""

    kind: str
    service: str
    path: str
    member: str
    version: str
    is_forced: bool = False
    has_own_ids: bool = False
    has_owners: bool = True
    shape: Shape = Shape(maps=('limits',), open_maps=frozenset({'limits'}))

    def owners(self, identity: Identity) -> Collection[str]:
        # What a pod that joins has set is its own; what is wanted comes to it.
        return ()

    def list_all(self, api: PodApi, owners: Collection[str]) -> list[Found]:
        found = (self.read(api, owner, owner) for owner in owners)
        return [each for each in found if each is not None]

    def read(self, api: PodApi, key: str, bottom_id: str) -> Found | None:
        try:
            document = api.get(self._path(key), self.version)
        except PodRefused as error:
            if error.status != 400:
                raise
            document = None  # Nova asks Keystone: a project that is no more, or never was, has no limits
        if document is None:
            return None
        shown = document[self.member]
        limits = {name: value for name, value in shown.items() if type(value) is int}
        return Found(key, key, key, {'name': key, 'limits': limits})

    def create(self, api: PodApi, wanted: Object) -> str:
        self._set(api, wanted['name'], wanted['limits'])
        return str(wanted['name'])

    def carry_out(self, api: PodApi, found: Found, step: Step) -> None:
        match step:
            case SetItems(_, items):
                self._set(api, found.key, items)

    def _set(self, api: PodApi, key: str, limits: Mapping[str, Any]) -> None:
        body = {**limits, 'force': True} if self.is_forced else dict(limits)
        api.send('PUT', self._path(key), self.version, {self.member: body})

    def remove(self, api: PodApi, found: Found) -> None:
        api.send('DELETE', self._path(found.key), self.version)

    def is_used(self, api: PodApi, bottom_id: str) -> bool:
        return False

    def _path(self, key: str) -> str:
        owner, colon, user = key.partition(':')
        path = f'{self.path}/{quote(owner, safe="")}'
        return f'{path}?{urlencode({"user_id": user})}' if colon else path
