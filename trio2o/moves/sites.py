# SPDX-License-Identifier: Apache-2.0
"""The APIs of one pod as a move uses them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from trio2o import exception
from trio2o.pods.endpoints import COMPUTE, VOLUME
from trio2o.pods.podapi import PodApi
from trio2o.pods.registry import PodView
from trio2o.pods.shared_api import IMAGE, NETWORK, SharedApi, shared_api

if TYPE_CHECKING:
    from trio2o.runtime import Runtime


class InMaintenance(exception.ServiceUnavailable):
    """No service calls the pod now."""


class Site:
    """One of the two pods of a move.

    What ``compute`` and ``volume`` create belongs to the project of Trio2o's user, so that tenants neither see it nor
    pay for it with their quota. What ``tenant_compute`` and ``tenant_volume`` create belongs to the tenant's project.
    """

    def __init__(self, runtime: Runtime, pod: PodView, project_id: str) -> None:
        self.pod = pod
        self._runtime = runtime
        self._project_id = project_id

    @cached_property
    def compute(self) -> PodApi:
        return self._api(COMPUTE)

    @cached_property
    def volume(self) -> PodApi:
        return self._api(VOLUME)

    @cached_property
    def tenant_compute(self) -> PodApi:
        return self._api(COMPUTE, self._project_id)

    @cached_property
    def tenant_volume(self) -> PodApi:
        return self._api(VOLUME, self._project_id)

    @cached_property
    def image(self) -> SharedApi | None:
        """Glance of the pod; None if the catalog has none for its region."""
        return self._shared(IMAGE)

    @cached_property
    def network(self) -> SharedApi | None:
        """Neutron of the pod; None if the catalog has none for its region."""
        return self._shared(NETWORK)

    def check_project(self) -> None:
        """Check that Keystone gives Trio2o's user a token for the tenant's project.

        :raises ServiceUnavailable: it does not
        """
        self._runtime.identity.account_of(self.pod.name).in_project(self._project_id).token()

    def _api(self, service: str, project_id: str = '') -> PodApi:
        return PodApi(self._runtime.client, self._runtime.identity, self.pod, service, project_id=project_id)

    def _shared(self, service: str) -> SharedApi | None:
        return shared_api(self._runtime.identity, self._runtime.pod_endpoints, self.pod.name, service)


class AbsentSite(Site):
    """A pod of an abandoned move that is not registered any more, or that no service calls now.

    Every use raises the reason.
    """

    def __init__(self, error: exception.ServiceUnavailable) -> None:
        self._error = error

    def _api(self, service: str, project_id: str = '') -> PodApi:
        raise self._error

    def _shared(self, service: str) -> SharedApi | None:
        raise self._error


def site_of(runtime: Runtime, pod_id: str, project_id: str) -> Site:
    """Return the site of a registered pod that can be called.

    :raises InMaintenance: it is in maintenance
    :raises ServiceUnavailable: it is not registered any more
    """
    pod = runtime.registry.snapshot().by_id.get(pod_id)
    if pod is None:
        raise exception.ServiceUnavailable(f'There is no pod {pod_id} any more.')
    if pod.in_maintenance:
        raise InMaintenance(f'Pod {pod.name} is in maintenance.')
    return Site(runtime, pod, project_id)
