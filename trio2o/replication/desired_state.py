# SPDX-License-Identifier: Apache-2.0
"""The desired state of every replicated object: what should exist in all pods.

It is recorded from the pod that a request was sent to, or from the request itself where a pod's answer does not show
it. Each change is a new generation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from trio2o import job_types
from trio2o.db import replicas
from trio2o.db.records import ReplicatedObject
from trio2o.pods.registry import PodView
from trio2o.quota.amounts import PER_VOLUME_TYPE
from trio2o.replication import reconcile
from trio2o.replication.dependencies import Dependencies
from trio2o.replication.kinds import DEFAULT_TYPE, KEYPAIR, QOS_SPEC, VOLUME_QUOTA, VOLUME_QUOTA_CLASS, VOLUME_TYPE
from trio2o.replication.object_sync import ObjectSync
from trio2o.replication.reconcile import Attributes, Notes, PodObject

#: Gets the desired attributes of an object, None if it should not exist, and returns new ones, None to keep them.
Change = Callable[[Attributes | None], Attributes | None]


class DesiredState:
    """Reads and records the desired state of objects."""

    def __init__(self, deps: Dependencies, objects: ObjectSync) -> None:
        self._deps = deps
        self._db = deps.store.db
        self._objects = objects

    def get(self, kind: str, key: str) -> Attributes | None:
        """Return the desired attributes of an object; None if it should not exist."""
        obj = replicas.get_object(self._db, kind, key)
        return None if obj is None or obj.is_deleted else obj.wanted

    def change(self, kind: str, key: str, function: Change) -> bool:
        """Change the desired attributes of an object as one step, so that no concurrent change is lost.

        The caller brings the object to the pods.

        :param function: gets the desired attributes, None if the object should not exist, and returns the new ones;
            may be called several times. None: keep them
        :returns: whether the attributes were changed
        """
        while True:
            obj = replicas.get_object(self._db, kind, key)
            attributes = function(None if obj is None or obj.is_deleted else obj.wanted)
            if attributes is None:
                return False
            try:
                expected = obj.generation if obj is not None else 0
                replicas.upsert_object(self._db, kind, key, dict(attributes), key, expected=expected)
            except replicas.Superseded:
                continue
            return True

    def set_limits(self, kind: str, key: str, limits: Mapping[str, int], request_id: str | None = None) -> None:
        """Add limits to the desired ones of a quota set or a quota class, and bring them to all pods."""

        def add(desired: Attributes | None) -> Attributes:
            return {'name': key, 'limits': {**(desired or {}).get('limits', {}), **limits}}

        self.change(kind, key, add)
        self._objects.sync_everywhere(kind, key, request_id=request_id)

    def delete(self, kind: str, key: str, request_id: str | None = None) -> None:
        """Record that an object should not exist, and delete it in all pods.

        An object that was never recorded is recorded as deleted, as pods may have it.
        """
        replicas.mark_object_deleted(self._db, kind, key, unrecorded={'name': key})
        self._objects.sync_everywhere(kind, key, request_id=request_id)

    def record(
        self,
        kind: str,
        key: str,
        pod: PodView,
        found: PodObject | None,
        before: PodObject | None = None,
        expected: int | None = None,
    ) -> int:
        """Record the state of an object in one pod as the desired one.

        :param found: None if the pod does not have it
        :param before: the object in the pod before the write that changed it, if that is known
        :param expected: generation that the pod had before the write, 0 if there was no record; None: any
        :returns: the new generation; 0 if the object is neither recorded nor in the pod
        :raises Superseded: another write was recorded since, so that the pod may lack its change
        """
        if found is None:
            return self._record_deleted(kind, key, pod, expected)
        while True:
            old = replicas.get_object(self._db, kind, key)
            known = old.generation if old is not None else 0
            try:
                return self._record_found(kind, key, pod, found, before, old, known if expected is None else expected)
            except replicas.Superseded:
                if expected is not None:
                    raise

    def _record_found(
        self,
        kind: str,
        key: str,
        pod: PodView,
        found: PodObject,
        before: PodObject | None,
        old: ReplicatedObject | None,
        expected: int,
    ) -> int:
        attributes = self._attributes(kind, old, found, before)
        origin = replicas.Origin(pod.id, found.bottom_id)
        if kind == VOLUME_TYPE and old is not None and old.wanted['name'] != found.name:
            return self._rename_volume_type(old, attributes, found.name, expected, origin).generation
        top_id = None if kind == KEYPAIR else key
        return replicas.upsert_object(
            self._db, kind, key, attributes, top_id, expected=expected, origin=origin
        ).generation

    def _record_deleted(self, kind: str, key: str, pod: PodView, expected: int | None) -> int:
        origin = replicas.Origin(pod.id, None)
        deleted = replicas.mark_object_deleted(self._db, kind, key, expected=expected, origin=origin)
        if kind == VOLUME_TYPE:
            self._drop_volume_type(key)
        return deleted.generation if deleted is not None else 0

    def purge_deleted(self, before: datetime) -> int:
        """Remove the records of objects that were deleted before a time and are gone in all pods.

        :returns: how many were removed
        """
        removed = 0
        for kind in self._deps.access.adapters:
            for obj in self._deps.store.objects(kind):
                if not obj.is_deleted or (obj.updated_at or obj.created_at) >= before:
                    continue
                rows = replicas.list_replicas(self._db, object_id=obj.id)
                if all(row.state == 'gone' for row in rows):
                    removed += replicas.drop_object(self._db, obj)
        return removed

    def _attributes(
        self, kind: str, old: ReplicatedObject | None, found: PodObject, before: PodObject | None
    ) -> Attributes:
        """Return the desired attributes that follow from the state of an object in one pod."""
        if old is None:
            return found.attributes
        if old.is_deleted:
            return Notes(first_generation=old.generation).add_to(found.attributes)
        shape, notes = self._deps.access.adapters[kind].shape, Notes.of(old.wanted)
        changes = {} if before is None else reconcile.changed_local_items(shape, before.attributes, found.attributes)
        pushed = {**notes.pushed, **dict.fromkeys(changes, old.generation + 1)}
        attributes = reconcile.merge_local(shape, old.wanted, found.attributes, changes)
        return Notes(notes.first_generation, pushed).add_to(attributes)

    def _drop_volume_type(self, type_id: str) -> None:
        """Remove a deleted volume type from the QoS specs and default types that refer to it, as pods do."""

        def without_type(desired: Attributes | None) -> Attributes | None:
            if desired is None or type_id not in desired['types']:
                return None
            return {**desired, 'types': [each for each in desired['types'] if each != type_id]}

        for obj in replicas.list_objects(self._db, QOS_SPEC):
            if self.change(obj.kind, obj.key, without_type):
                self._objects.sync_everywhere(obj.kind, obj.key)
        for obj in replicas.list_objects(self._db, DEFAULT_TYPE):
            if obj.wanted['volume_type'] == type_id:
                self.delete(obj.kind, obj.key)

    def _rename_volume_type(
        self,
        old: ReplicatedObject,
        attributes: Attributes,
        new_name: str,
        expected: int,
        origin: replicas.Origin,
    ) -> ReplicatedObject:
        """Record the new name of a volume type, and rename the limits that have its name, as pods do.

        Jobs bring the limits to the pods, as there may be some for each project.
        """
        renamed = {f'{name}_{old.wanted["name"]}': f'{name}_{new_name}' for name in PER_VOLUME_TYPE}
        obj, limits_changed = replicas.upsert_with_limits(
            self._db,
            old.kind,
            old.key,
            attributes,
            old.key,
            renamed,
            (VOLUME_QUOTA, VOLUME_QUOTA_CLASS),
            expected=expected,
            origin=origin,
        )
        if limits_changed:
            for pod in self._deps.registry.snapshot().serving('volume'):
                self._deps.jobs.submit(job_types.REPAIR_REPLICAS, pod.id, {'pod_id': pod.id})
        return obj
