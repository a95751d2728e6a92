# SPDX-License-Identifier: Apache-2.0
"""The calls of the Admin API, one method for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

from keystoneauth1 import exceptions as ksa_exceptions
from openstack import exceptions, proxy

from trio2o.sdk.resources import (
    AdminResource,
    Binding,
    Claim,
    Job,
    Move,
    MoveGroup,
    MoveGroupMember,
    Pod,
    Project,
    RemainingResource,
    RemainingSummary,
    Replica,
    ReplicaSummary,
    Routing,
    Selection,
    Usage,
    UsageSum,
)

AdminResourceT = TypeVar('AdminResourceT', bound=AdminResource)

#: The first Trio2o registered its Admin API as ``Cascading``.
SERVICE_TYPES = ('trio2o', 'Cascading')
VERSION = '/v1.0'


class Proxy(proxy.Proxy):
    """The Admin API of one region.

    Methods take a resource of :mod:`trio2o.sdk.resources` or its id. Filters and fields have the names of the
    Admin API; a filter that is None is not sent. Errors are those of :mod:`openstack.exceptions`.
    """

    skip_discovery = True

    @property
    def admin_api(self) -> str:
        """URL of the Admin API with its version: the endpoint override, or else from the catalog.

        :raises EndpointNotFound: the catalog has none
        """
        url = (self.endpoint_override or self._catalog_endpoint()).rstrip('/')
        return url if url.endswith(VERSION) else url + VERSION

    def _catalog_endpoint(self) -> str:
        for service_type in SERVICE_TYPES:
            try:
                found = self.session.get_endpoint(
                    self.auth, service_type=service_type, interface=self.interface, region_name=self.region_name
                )
            except ksa_exceptions.CatalogException:
                continue
            if found:
                return str(found)
        where = f' in region {self.region_name}' if self.region_name else ''
        raise EndpointNotFound(f"The catalog has no endpoint of service type 'trio2o'{where}.")

    def request(self, url: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """Send a request; a relative URL is relative to the version of the Admin API.

        :raises AdminApiUnreachable: no connection
        """
        admin_api = self.admin_api
        if not urlsplit(url).scheme:
            url = f'{admin_api}/{url.lstrip("/")}'
        try:
            return super().request(url, method, *args, **kwargs)
        except ksa_exceptions.ConnectFailure as error:
            raise AdminApiUnreachable(f'The Admin API does not answer at {admin_api}: {error}') from error

    # -- pods

    def pods(self, *, limit: int | None = None, **filters: Any) -> Iterator[Pod]:
        """List pods.

        :param limit: at most this many
        :param filters: ``pod_name``, ``az_name``, ``dc_name``, ``state``; ``sort`` and ``marker``
        """
        return self._all(Pod, limit, filters)

    def get_pod(self, pod: Pod | str) -> Pod:
        """Show a pod with the changes of its state."""
        return self._show(Pod, pod, {})

    def find_pod(self, name_or_id: str, ignore_missing: bool = True) -> Pod | None:
        """Show the pod of a name, or else of an id.

        :param ignore_missing: return None if there is no such pod, instead of raising
        :raises NotFoundException: there is none
        """
        for pod in self.pods(pod_name=name_or_id):
            return pod
        try:
            return self.get_pod(name_or_id)
        except exceptions.NotFoundException:
            if ignore_missing:
                return None
            raise

    def create_pod(self, **attrs: Any) -> Pod:
        """Register a pod.

        :param attrs: ``pod_name`` (its Keystone region) and any other field of a pod
        """
        return self._make(Pod, attrs)

    def update_pod(self, pod: Pod | str, **attrs: Any) -> Pod:
        """Change a pod; fields that are not named stay as they are."""
        return self._change(Pod, pod, attrs)

    def delete_pod(self, pod: Pod | str, ignore_missing: bool = True, force: bool = False) -> None:
        """Remove a pod from Trio2o; the resources in it are not touched.

        :param force: even if it holds resources of tenants
        """
        self._delete(Pod, pod, ignore_missing=ignore_missing, params={'force': 'true'} if force else {})

    def adopt_pod(self, pod: Pod | str, dry_run: bool = False) -> Job:
        """Adopt the resources that a pod held before it was registered.

        :param dry_run: only report what would be adopted
        """
        return self._known(Pod, pod).adopt(self, dry_run)

    def reconcile_pod(self, pod: Pod | str, end_missing: bool = False) -> Job:
        """Compare all resources of a pod with their routings.

        :param end_missing: end the routings of all resources that the pod does not have, however many
        """
        return self._known(Pod, pod).reconcile(self, end_missing)

    def drain_pod(self, pod: Pod | str, reason: str | None = None) -> Pod:
        """Set a pod to ``draining``: nothing new is created in it."""
        return self._known(Pod, pod).drain(self, reason)

    def remaining_resources(
        self, pod: Pod | str, *, limit: int | None = None, **filters: Any
    ) -> Iterator[RemainingResource]:
        """List the resources a pod still holds, each with the pods that could take it.

        :param filters: ``resource_type``, ``project_id``; ``marker``
        """
        return self._all(RemainingResource, limit, {**filters, 'pod_id': Pod._get_id(pod)})

    def get_remaining_summary(self, pod: Pod | str) -> RemainingSummary:
        """Count the resources a pod still holds."""
        summary = RemainingSummary.existing(connection=self._get_connection(), pod_id=Pod._get_id(pod))
        return summary.fetch(self, requires_id=False, limit=0)

    def select_pods(self, **attrs: Any) -> Selection:
        """Ask the scheduler where a new server or volume would be created. Nothing is created.

        :param attrs: ``project_id``, ``az_name``, ``service``, ``flavor``, ``volume_type``, ``resources``,
            ``extra_specs``, ``count``
        """
        return self._make(Selection, attrs)

    # -- bindings

    def bindings(self, *, limit: int | None = None, **filters: Any) -> Iterator[Binding]:
        """List bindings of projects to pods.

        :param filters: ``tenant_id``, ``pod_id``, ``az_name``, ``is_pinned``, ``history``; ``sort`` and ``marker``
        """
        return self._all(Binding, limit, filters)

    def get_binding(self, binding: Binding | str) -> Binding:
        """Show a binding, current or ended."""
        return self._show(Binding, binding, {'history': 'true'})

    def create_binding(self, **attrs: Any) -> Binding:
        """Bind a project (``tenant_id``) to a pod (``pod_id``)."""
        return self._make(Binding, attrs)

    def update_binding(self, binding: Binding | str, **attrs: Any) -> Binding:
        """Change a binding, or move it to another pod (``pod_id``)."""
        return self._change(Binding, binding, attrs)

    def delete_binding(self, binding: Binding | str, ignore_missing: bool = True) -> None:
        """End a binding; it is kept as history."""
        self._delete(Binding, binding, ignore_missing=ignore_missing)

    # -- routings

    def routings(self, *, limit: int | None = None, **filters: Any) -> Iterator[Routing]:
        """List routings: which pod holds which resource.

        :param filters: ``pod_id``, ``project_id``, ``resource_type``, ``top_id``, ``bottom_id``, ``state``;
            ``sort`` and ``marker``
        """
        return self._all(Routing, limit, filters)

    def get_routing(self, routing: Routing | str | int, resource_type: str | None = None) -> Routing:
        """Show a routing.

        :param routing: its number, or the id of the resource
        :param resource_type: of the resource, where resources of several types have the id
        """
        return self._show(Routing, routing, {'resource_type': resource_type})

    def create_routing(self, **attrs: Any) -> Routing:
        """Record which pod holds a resource (``top_id``, ``resource_type``, ``pod_id``, ``project_id``)."""
        return self._make(Routing, attrs)

    def update_routing(self, routing: Routing | str | int, **attrs: Any) -> Routing:
        """Correct a routing; the resource itself does not move."""
        return self._change(Routing, routing, attrs)

    def delete_routing(self, routing: Routing | str | int, ignore_missing: bool = True) -> None:
        """Delete a routing; the resource itself stays, and is looked up again when it is used."""
        self._delete(Routing, self._known(Routing, routing), ignore_missing=ignore_missing)

    # -- claims

    def claims(self, *, limit: int | None = None, **filters: Any) -> Iterator[Claim]:
        """List open claims on the quota, the oldest first.

        :param filters: ``project_id``, ``pod_id``, ``resource_type``, ``resource_id``, ``request_id``, ``state``,
            ``older_than`` (seconds); ``sort`` and ``marker``
        """
        return self._all(Claim, limit, filters)

    def get_claim(self, claim: Claim | str) -> Claim:
        """Show a claim."""
        return self._show(Claim, claim, {})

    def delete_claim(self, claim: Claim | str, ignore_missing: bool = True) -> None:
        """End a claim. Refused while its request may still be carried out."""
        self._delete(Claim, self._known(Claim, claim), ignore_missing=ignore_missing)

    # -- moves

    def moves(self, *, limit: int | None = None, **filters: Any) -> Iterator[Move]:
        """List moves, the newest first.

        :param limit: at most this many
        :param filters: ``project_id``, ``resource_id``, ``pod_id``, ``source_pod_id``, ``target_pod_id``, ``status``,
            ``state``, ``is_active``; ``sort`` and ``marker``
        """
        return self._all(Move, limit, filters)

    def get_move(self, move: Move | str) -> Move:
        """Show a move with its plan and its ledger."""
        return self._show(Move, move, {})

    def plan_move(self, **given: Any) -> dict[str, Any]:
        """Return what a move would do, and what speaks against it.

        :param given: ``server_id`` or ``volume_id``, and ``target_pod`` or ``zone``
        """
        response = self.post('/moves', json={'move': {**given, 'dry_run': True}})
        exceptions.raise_from_response(response)
        plan: dict[str, Any] = response.json()['plan']
        return plan

    def create_move(self, **given: Any) -> Move:
        """Begin a move.

        :param given: as for ``plan_move``, and ``confirm_seconds``
        """
        move = Move.new(connection=self._get_connection())
        response = self.post('/moves', json={'move': given})
        move._translate_response(response)
        return move

    def steer_move(self, move: Move | str, verb: str, **options: Any) -> Move:
        """Steer a move: ``pause``, ``resume``, ``cancel``, ``confirm``, ``revert``, ``abandon`` or ``sweep``.

        :param options: ``force=True`` lets ``confirm`` give up what the target has lost; ``back=True`` lets the ids
            of an abandoned move lead to the source again
        """
        return self._known(Move, move).steer(self, verb, **options)

    # -- groups of moves

    def move_groups(self, *, limit: int | None = None, **filters: Any) -> Iterator[MoveGroup]:
        """List groups of moves, the newest first.

        :param limit: at most this many
        :param filters: ``kind``, ``status``, ``project_id``, ``source_pod_id``, ``is_active``; ``sort`` and ``marker``
        """
        return self._all(MoveGroup, limit, filters)

    def get_move_group(self, group: MoveGroup | str) -> MoveGroup:
        """Show a group of moves."""
        return self._show(MoveGroup, group, {})

    def move_group_members(
        self, group: MoveGroup | str, *, limit: int | None = None, **filters: Any
    ) -> Iterator[MoveGroupMember]:
        """List the members of a group of moves, in the order in which they move.

        :param filters: ``state``, ``resource_type``, ``resource_id``, ``project_id``; ``sort`` and ``marker``
        """
        return self._all(MoveGroupMember, limit, {**filters, 'group_id': MoveGroup._get_id(group)})

    def plan_move_group(self, **given: Any) -> dict[str, Any]:
        """Return what a group of moves would do, and what speaks against it.

        :param given: as for ``create_move_group``
        """
        response = self.post('/move-groups', json={'move_group': {**given, 'dry_run': True}})
        exceptions.raise_from_response(response)
        plan: dict[str, Any] = response.json()['plan']
        return plan

    def create_move_group(self, **given: Any) -> MoveGroup:
        """Begin a group of moves.

        :param given: ``kind`` and what it moves: ``members``, ``server_group_id`` or ``tag`` of an application,
            ``source_pod`` of a drain, ``zone`` of a rebalancing; where to: ``target_pods`` or ``zone``; and
            ``on_failure``, ``max_failures``, ``parallel``, ``canary``, ``wave``, ``bytes_per_second``, ``window``,
            ``confirm_seconds``
        """
        group = MoveGroup.new(connection=self._get_connection())
        group._translate_response(self.post('/move-groups', json={'move_group': given}))
        return group

    def steer_move_group(self, group: MoveGroup | str, verb: str) -> MoveGroup:
        """Steer a group: ``pause``, ``resume``, ``cancel``, ``confirm`` or ``revert``."""
        return self._known(MoveGroup, group).steer(self, verb)

    # -- jobs

    def jobs(self, *, limit: int | None = None, **filters: Any) -> Iterator[Job]:
        """List jobs, the newest first.

        :param filters: ``state``, ``type``, ``resource_key``, ``request_id``; ``sort`` and ``marker``
        """
        return self._all(Job, limit, filters)

    def get_job(self, job: Job | str) -> Job:
        """Show a job with its history."""
        return self._show(Job, job, {})

    def redo_job(self, job: Job | str) -> Job:
        """Run a job that has ended once more; one that waits runs now."""
        return self._known(Job, job).redo(self)

    def cancel_job(self, job: Job | str) -> Job:
        """Cancel a job; one that runs stops at its next step."""
        return self._known(Job, job).cancel(self)

    # -- projects

    def empty_project(self, project_id: str, dry_run: bool = False) -> Job:
        """Delete what is left in all pods of a project that Keystone has deleted.

        :param dry_run: only report what would be deleted
        """
        return self._known(Project, project_id).empty(self, dry_run)

    def recount_project(self, project_id: str) -> Job:
        """Count again in the pods what a project uses of its quota."""
        return self._known(Project, project_id).recount(self)

    # -- replicas and usage

    def replicas(self, *, limit: int | None = None, **filters: Any) -> Iterator[Replica]:
        """List replicas that are out of sync.

        :param filters: ``pod_id``, ``kind``, ``state``; ``sort`` and ``marker``
        """
        return self._all(Replica, limit, filters)

    def replica_summary(self, **filters: Any) -> Iterator[ReplicaSummary]:
        """Count the replicas out of sync in each pod, with the filters of :meth:`replicas`."""
        return self._one_page(ReplicaSummary, filters)

    def usages(self, *, limit: int | None = None, **filters: Any) -> Iterator[Usage]:
        """List capacity and use of pods, a row for each service of a pod.

        :param filters: ``pod_id``, ``service``, ``az_name``; ``sort`` and ``marker``
        """
        return self._all(Usage, limit, filters)

    def usage_sums(self, **filters: Any) -> Iterator[UsageSum]:
        """Sum capacity and use over pods, with the filters of :meth:`usages`."""
        return self._one_page(UsageSum, filters)

    # -- shared

    def _known(self, resource_type: type[AdminResourceT], value: AdminResource | str | int) -> AdminResourceT:
        """Make a resource of which only the id is known; an update sends the fields set later, and not the id."""
        id_ = value.id if isinstance(value, AdminResource) else value
        return resource_type.existing(connection=self._get_connection(), id=id_)

    def _all(
        self, resource_type: type[AdminResourceT], limit: int | None, filters: dict[str, Any]
    ) -> Iterator[AdminResourceT]:
        # openstacksdk takes 0 for no limit.
        if limit == 0:
            return iter(())
        return resource_type.list(self, max_items=limit, **_given(filters))

    def _one_page(self, resource_type: type[AdminResourceT], filters: dict[str, Any]) -> Iterator[AdminResourceT]:
        return resource_type.list(self, paginated=False, limit=1, **_given(filters))

    def _show(
        self, resource_type: type[AdminResourceT], value: AdminResource | str | int, query: dict[str, Any]
    ) -> AdminResourceT:
        return self._known(resource_type, value).fetch(self, **_given(query))

    def _make(self, kind: type[AdminResourceT], attrs: dict[str, Any]) -> AdminResourceT:
        # Not the method of openstacksdk: its parameter resource_type is also a field of a routing.
        return kind.new(connection=self._get_connection(), **attrs).create(self)

    def _change(
        self, resource_type: type[AdminResourceT], value: AdminResource | str | int, attrs: dict[str, Any]
    ) -> AdminResourceT:
        resource = self._known(resource_type, value)
        resource._update(**attrs)
        return resource.commit(self)


class EndpointNotFound(exceptions.ServiceDiscoveryException):
    """The catalog has no endpoint of the Admin API."""


class AdminApiUnreachable(ksa_exceptions.ConnectFailure):
    """No connection to the Admin API."""


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
