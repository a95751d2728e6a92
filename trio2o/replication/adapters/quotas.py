# SPDX-License-Identifier: Apache-2.0
"""Quota sets of projects and quota classes: the limits that were set through the gateway, and only those.

Resources that Trio2o counts over all pods are limited by Trio2o alone; for these, the desired limit in a pod is
UNLIMITED, in the default class and wherever a project or user has limits of its own (``replication.pod_limits``).

A pod shows all limits, whether they were set or not. So the desired state comes from requests and not from what a pod
shows, and a limit that was never set is up to each pod. The key is the project or the class, and ``project:user`` for
the limits of a user in a project.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.replication.adapters.base import Adapter
from trio2o.replication.reconcile import Attributes, PodObject, SetItems, Shape, Step


@dataclass
class Quotas(Adapter):
    """
    :ivar collection: path of the collection; ``member``: key of one in a body
    :ivar is_forced: whether a limit below the current usage needs ``force``
    """

    # Lists the quota sets of the given owners only. For a pod that joins there are none (``owners``): the limits set
    # in the pod are not recorded, and the desired limits are brought to it.
    has_owners = True
    shape = Shape(maps=('limits',), partial_maps=frozenset({'limits'}))

    kind: str
    service: str
    collection: str
    member: str
    version: str
    is_forced: bool = False

    def list_all(self, api: PodApi, owners: Collection[str]) -> list[PodObject]:
        found = (self.read(api, owner, owner) for owner in owners)
        return [each for each in found if each is not None]

    def read(self, api: PodApi, key: str, bottom_id: str) -> PodObject | None:
        try:
            document = api.get(self._path(key), self.version)
        except PodRefused as error:
            if error.status != 400:
                raise
            document = None  # Nova asks Keystone: a project that does not exist has no limits.
        if document is None:
            return None
        shown = document[self.member]
        limits = {name: value for name, value in shown.items() if type(value) is int}
        return PodObject(key, key, key, {'name': key, 'limits': limits})

    def create(self, api: PodApi, desired: Attributes) -> str:
        self._set(api, desired['name'], desired['limits'])
        return str(desired['name'])

    def apply(self, api: PodApi, found: PodObject, step: Step) -> None:
        match step:
            case SetItems(_, items):
                self._set(api, found.key, items)

    def _set(self, api: PodApi, key: str, limits: Mapping[str, Any]) -> None:
        body = {**limits, 'force': True} if self.is_forced else dict(limits)
        api.send('PUT', self._path(key), self.version, {self.member: body})

    def delete(self, api: PodApi, found: PodObject) -> None:
        api.send('DELETE', self._path(found.key), self.version)

    def _path(self, key: str) -> str:
        owner, colon, user = key.partition(':')
        path = f'{self.collection}/{quote(owner, safe="")}'
        return f'{path}?{urlencode({"user_id": user})}' if colon else path
