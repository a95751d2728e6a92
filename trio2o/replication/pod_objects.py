# SPDX-License-Identifier: Apache-2.0
"""The objects of one kind in one pod: an adapter together with the pod's API."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping

from trio2o import exception
from trio2o.db import replicas
from trio2o.db.database import Database
from trio2o.pods.client import PodClient
from trio2o.pods.identity import Identity
from trio2o.pods.podapi import PodApi
from trio2o.pods.registry import PodView
from trio2o.replication.adapters.base import Adapter
from trio2o.replication.kinds import LIMITS_OF_PROJECTS, project_of_limits
from trio2o.replication.reconcile import Attributes, PodObject, Step

LOG = logging.getLogger(__name__)


class PodObjects:
    """Reads and writes the objects of one kind in one pod.

    All methods raise PodError if the pod gives no answer, or one that the adapter fails to read; and PodRefused if the
    pod answers 4xx.
    """

    def __init__(self, adapter: Adapter, api: PodApi) -> None:
        self.adapter = adapter
        self.pod = api.pod
        self._api = api

    def list_all(self, owners: Collection[str] = ()) -> list[PodObject]:
        with self._malformed_is_no_answer():
            return self.adapter.list_all(self._api, owners)

    def read(self, key: str, bottom_id: str) -> PodObject | None:
        """Read one object; None if the pod does not have it.

        A pod that ignores case also answers with another object, whose key differs from this one in case only.
        """
        found = self._read(key, bottom_id)
        return found if found is None or self.adapter.has_own_ids or found.key == key else None

    def key_of(self, key: str) -> str | None:
        """Return the key of the object that the pod takes a key for; None if it has none."""
        found = self._read(key, key)
        return found.key if found is not None else None

    def _read(self, key: str, bottom_id: str) -> PodObject | None:
        with self._malformed_is_no_answer():
            return self.adapter.read(self._api, key, bottom_id)

    def create(self, desired: Attributes) -> str:
        with self._malformed_is_no_answer():
            return self.adapter.create(self._api, desired)

    def apply(self, found: PodObject, step: Step) -> None:
        with self._malformed_is_no_answer():
            self.adapter.apply(self._api, found, step)

    def delete(self, found: PodObject) -> None:
        with self._malformed_is_no_answer():
            self.adapter.delete(self._api, found)

    def is_used(self, bottom_id: str) -> bool:
        with self._malformed_is_no_answer():
            return self.adapter.is_used(self._api, bottom_id)

    @contextlib.contextmanager
    def _malformed_is_no_answer(self) -> Iterator[None]:
        """Turn the errors with which an adapter may fail to read a malformed answer into PodNoAnswer."""
        try:
            yield
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise exception.PodNoAnswer(self.pod.name, f'sent a malformed answer: {error!r}') from error


class PodAccess:
    """Gives the objects of a kind in a pod."""

    def __init__(self, db: Database, client: PodClient, identity: Identity, adapters: Iterable[Adapter]) -> None:
        self._db = db
        self._client = client
        self._identity = identity
        #: By kind, ordered: a kind comes after those that its objects refer to.
        self.adapters = {adapter.kind: adapter for adapter in adapters}

    def objects(
        self, kind: str, pod: PodView, timeout: float | None = None, new_ids: Mapping[str, str] | None = None
    ) -> PodObjects:
        """
        :param timeout: seconds for each call to the pod; the configured read timeout if None
        :param new_ids: the pod's ids of objects that are not recorded, with those that tenants will see
        """
        adapter = self.adapters[kind]

        def ids_up() -> Mapping[str, str]:
            return {**replicas.ids_up(self._db, pod.id), **(new_ids or {})}

        api = PodApi(self._client, self._identity, pod, adapter.service, timeout, ids_up)
        return PodObjects(adapter, api)

    def adapters_of(self, pod: PodView) -> list[Adapter]:
        """Return the adapters of all kinds for which a pod has the API."""
        return [adapter for adapter in self.adapters.values() if adapter.service in pod.endpoints]

    def is_of_deleted_project(self, kind: str, key: str) -> bool:
        """Return whether an object is the limits of a project that Keystone does not have any more.

        :raises ServiceUnavailable: Keystone does not answer
        """
        return kind in LIMITS_OF_PROJECTS and not self._identity.has_project(project_of_limits(key))

    def is_user_deleted(self, user_id: str) -> bool:
        """Return whether Keystone itself answers that it does not have a user. Without its answer the user exists."""
        try:
            return not self._identity.has_user(user_id)
        except exception.ServiceUnavailable as error:
            LOG.warning('Taking user %s as existing: %s', user_id, error.message)
            return False

    def owners(self, adapter: Adapter) -> Collection[str]:
        """Return the owners whose objects are looked for in a pod that joins."""
        return adapter.owners(self._identity)
