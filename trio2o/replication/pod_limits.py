# SPDX-License-Identifier: Apache-2.0
"""Raises limits of pods to unlimited for the resources that Trio2o counts over all pods.

Trio2o alone limits these. A lower limit in a pod would refuse requests that Trio2o allows.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from trio2o.pods.identity import Identity
from trio2o.pods.registry import PodView
from trio2o.quota.amounts import COUNTED, UNLIMITED, is_counted
from trio2o.replication.desired_state import DesiredState
from trio2o.replication.kinds import QUOTA_CLASS, QUOTA_SET, VOLUME_QUOTA, VOLUME_QUOTA_CLASS
from trio2o.replication.object_sync import ObjectSync
from trio2o.replication.pod_objects import PodAccess
from trio2o.replication.reconcile import Attributes, PodObject, SetItems

LOG = logging.getLogger(__name__)

#: Kind of the quota classes, by service.
_CLASSES = {'compute': QUOTA_CLASS, 'volume': VOLUME_QUOTA_CLASS}
_DEFAULT = 'default'


class PodLimits:
    """The limits of pods on counted resources."""

    def __init__(self, access: PodAccess, objects: ObjectSync, desired: DesiredState, identity: Identity) -> None:
        self._access = access
        self._objects = objects
        self._desired = desired
        self._identity = identity

    def raise_default_limits(self) -> None:
        """Raise the limits of the default quota class in all pods, and of key pairs of Trio2o's own project.

        Trio2o replicates key pairs with its own identity, so the limit of its own project would apply to all of them.
        """
        project_id = self._identity.project_id()
        for service, kind in _CLASSES.items():
            limits = (self._desired.get(kind, _DEFAULT) or {}).get('limits', {})
            missing = {name: UNLIMITED for name in COUNTED[service] if limits.get(name) != UNLIMITED}
            if missing:
                self._desired.set_limits(kind, _DEFAULT, missing)
        if project_id:
            own = (self._desired.get(QUOTA_SET, project_id) or {}).get('limits', {})
            if own.get('key_pairs') != UNLIMITED:
                self._desired.set_limits(QUOTA_SET, project_id, {'key_pairs': UNLIMITED})

    def raise_limits(self, pod: PodView, project_id: str, user_ids: Collection[str]) -> dict[str, dict[str, int]]:
        """Raise the limits of a project, and of users in it, to unlimited in one pod.

        :returns: the limits that the pod had, by service with project or ``project:user``
        :raises PodError: the pod did not answer
        :raises PodRefused: the pod answered 4xx
        """
        raised: dict[str, dict[str, int]] = {}
        for kind in (QUOTA_SET, VOLUME_QUOTA):
            adapter = self._access.adapters[kind]
            if adapter.service not in pod.endpoints:
                continue
            pod_objects = self._access.objects(kind, pod)
            users = user_ids if kind == QUOTA_SET else ()
            for key in (project_id, *(f'{project_id}:{user_id}' for user_id in users)):
                found = pod_objects.read(key, key)
                limits = _counted_limits(adapter.service, found)
                if found is None or not limits:
                    continue
                self._raise_desired(kind, key, limits)
                pod_objects.apply(found, SetItems('limits', dict.fromkeys(limits, UNLIMITED)))
                if _counted_limits(adapter.service, pod_objects.read(key, key)):
                    LOG.warning(
                        'Failed to raise limits of %s %s in pod %s to unlimited: the pod still has %s',
                        adapter.service,
                        key,
                        pod.name,
                        limits,
                    )
                    continue
                LOG.warning(
                    'Raised limits of %s %s in pod %s to unlimited, which were %s',
                    adapter.service,
                    key,
                    pod.name,
                    limits,
                )
                raised[f'{adapter.service} {key}'] = limits
        return raised

    def _raise_desired(self, kind: str, key: str, names: Collection[str]) -> None:
        """Raise limits to unlimited in the desired state too, if they were set before Trio2o counted the resource."""

        def raised(desired: Attributes | None) -> Attributes | None:
            limits = (desired or {}).get('limits', {})
            old = [name for name in names if limits.get(name, UNLIMITED) >= 0]
            return {**(desired or {}), 'limits': {**limits, **dict.fromkeys(old, UNLIMITED)}} if old else None

        if self._desired.change(kind, key, raised):
            self._objects.sync_everywhere(kind, key)


def _counted_limits(service: str, found: PodObject | None) -> dict[str, int]:
    """Return the limits that a pod has on resources that are counted over all pods."""
    limits = found.attributes['limits'] if found is not None else {}
    return {name: limit for name, limit in limits.items() if is_counted(name, service) and limit >= 0}
