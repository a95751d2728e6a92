# SPDX-License-Identifier: Apache-2.0
"""The pods that may have resources to list."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from trio2o.db import routings
from trio2o.pods.registry import PodView
from trio2o.web.call import Call

if TYPE_CHECKING:
    from trio2o.gateway.handlers.list import List


class ListedPods:
    """The pods that may have resources to list. They are only looked for if the list needs them."""

    def __init__(self, listing: List, call: Call, project_id: str | None, only: PodView | None) -> None:
        """
        :param project_id: the only project whose resources are listed, or None
        :param only: the only pod that the query is about, if it names one
        """
        self._listing, self._call, self._project_id, self._only = listing, call, project_id, only

    @property
    def called(self) -> list[PodView]:
        """The pods to call."""
        return self._found[0]

    @property
    def uncalled(self) -> list[PodView]:
        """The pods that may have some and are not called, as they are in maintenance or lack the service."""
        return self._found[1]

    @cached_property
    def _found(self) -> tuple[list[PodView], list[PodView]]:
        call = self._call
        only = self._only
        pods = [pod for pod in call.snapshot.pods if only is None or pod.id == only.id]
        is_wanted = self._listing.zone_filter(call)
        if is_wanted is not None:
            pods = [pod for pod in pods if is_wanted(pod.zone)]
        pods = self._pods_of_related(pods)
        called = [pod for pod in pods if self.may_call(pod)]
        uncalled = [pod for pod in pods if not self.may_call(pod)]
        # All resources of a reconciled pod have routings, so a project without any has nothing there.
        # Only pods know what a token that is scoped to a domain or to the system may list, and what it then gets.
        if len(called) > 1 and self._project_id and any(pod.record.is_reconciled for pod in called):
            used = self._pods_of_project(self._project_id)
            called = [pod for pod in called if pod.id in used or not pod.record.is_reconciled] or called[:1]
        if called and uncalled:
            uncalled = self.with_resources(uncalled)
        return called, uncalled

    def may_call(self, pod: PodView) -> bool:
        return not pod.in_maintenance and self._call.service.service_type in pod.endpoints

    def with_resources(self, uncalled: Iterable[PodView]) -> list[PodView]:
        """Return those of the pods that are not called that have resources to list, or may have some.

        A pod that has not been reconciled may have some of any project, unless it has none at all as far as is known.
        """
        db, kind, project_id = self._call.runtime.db, self._listing.resource.type, self._project_id
        pods = list(uncalled)
        holders = routings.pods_of_project(db, [kind], project_id) if project_id is not None else set()
        unsure = [pod.id for pod in pods if project_id is None or not pod.record.is_reconciled]
        holders |= routings.holders(db, kind, unsure)
        return [pod for pod in pods if pod.id in holders]

    def _pods_of_project(self, project_id: str) -> set[str]:
        types = (self._listing.resource.type, *self._listing.resource.found_with)
        return routings.pods_of_project(self._call.runtime.db, types, project_id, with_bindings=True)

    def _pods_of_related(self, pods: list[PodView]) -> list[PodView]:
        """Return the pod of the related resource that the query names, or all pods if it names none."""
        for name, value in dict(self._call.query).items() if self._listing.related else ():
            kind = self._listing.related.get(name)
            route = self._call.runtime.locator.look_up(kind.type, value) if kind is not None else None
            if route is not None and route.is_live and route.is_known_to(self._call):
                pods = [pod for pod in pods if pod.id == route.pod.id] or pods
        return pods
