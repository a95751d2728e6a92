# SPDX-License-Identifier: Apache-2.0
"""The resources of the Admin API for openstacksdk; attributes have the names of the API's fields."""

from __future__ import annotations

from typing import Any, Self
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from openstack import exceptions, resource
from openstack.resource import URI, Body, QueryParameters

Json = dict[str, Any]


class AdminResource(resource.Resource):
    """A resource of the Admin API."""

    # A field that a later Admin API adds is readable with this version too.
    _allow_unknown_attrs_in_body = True
    # The Admin API explains in its error which fields an empty update should have named.
    allow_empty_commit = True
    commit_method = 'PATCH'

    @property
    def document(self) -> Json:
        """The resource as the Admin API shows it."""
        # openstacksdk adds ``id`` to resources whose id has another name.
        added = {'id'} if self._alternate_id() else set()
        return {name: value for name, value in self._body.attributes.items() if name not in added}

    def _prepare_request(self, *, requires_id: bool | None = None, params: Json | None = None, **kwargs: Any) -> Any:
        request = super()._prepare_request(requires_id=requires_id, params=params, **kwargs)
        if self.requires_id if requires_id is None else requires_id:
            request.url = self._path() + (f'?{urlencode(params)}' if params else '')
        return request

    def _path(self, action: str = '') -> str:
        """Path of this resource, or of an action on it; the id may have any character."""
        path = f'{self.base_path}/{quote(str(self.id), safe="")}'
        return f'{path}/{action}' if action else path

    def _act(self, session: Any, action: str, body: Json | None = None) -> Any:
        response = session.post(self._path(action), json=body)
        exceptions.raise_from_response(response)
        return response

    def _act_by_job(self, session: Any, action: str, body: Json | None = None) -> Job:
        job = Job.new(connection=session._get_connection())
        job._translate_response(self._act(session, action, body))
        return job

    @classmethod
    def _get_next_link(cls, uri: str, response: Any, data: Json, marker: Any, limit: Any, total_yielded: int) -> Any:
        links = data.get(f'{cls.resources_key}_links')
        if not links:
            return None, {}
        # Only the marker is taken from the link: its host is the server's own, which a client may not reach.
        next_page = {'marker': dict(parse_qsl(urlsplit(links[0]['href']).query))['marker']}
        return uri, next_page | ({'limit': limit} if limit else {})


class Pod(AdminResource):
    """A pod; the one without an ``az_name`` is the top region."""

    base_path = '/pods'
    resource_key = 'pod'
    resources_key = 'pods'
    allow_create = allow_fetch = allow_commit = allow_delete = allow_list = True
    _query_mapping = QueryParameters('pod_name', 'az_name', 'dc_name', 'state', 'sort')

    #: ``pod.id`` is the same.
    pod_id = Body('pod_id', alternate_id=True)
    name = Body('pod_name')
    az_name = Body('az_name')
    pod_az_name = Body('pod_az_name')
    pod_volume_az_name = Body('pod_volume_az_name')
    dc_name = Body('dc_name')
    number = Body('number', type=int)
    state = Body('state')
    #: Why it is in this state; only sent.
    reason = Body('reason')
    state_reason = Body('state_reason')
    state_changes = Body('state_changes')
    resource_affinity_tag = Body('resource_affinity_tag')
    headroom = Body('headroom')
    endpoints = Body('endpoints')
    is_reconciled = Body('is_reconciled', type=bool)
    reconciled_at = Body('reconciled_at')
    created_at = Body('created_at')
    updated_at = Body('updated_at')

    def adopt(self, session: Any, dry_run: bool = False) -> Job:
        """Adopt the resources that the pod held before it was registered."""
        return self._act_by_job(session, 'adopt', {'dry_run': dry_run})

    def reconcile(self, session: Any, end_missing: bool = False) -> Job:
        """Compare all resources of the pod with their routings."""
        return self._act_by_job(session, 'reconcile', {'end_missing': end_missing})

    def drain(self, session: Any, reason: str | None = None) -> Self:
        """Set the pod to ``draining``."""
        self._translate_response(self._act(session, 'drain', {} if reason is None else {'reason': reason}))
        return self


class RemainingResource(AdminResource):
    """A resource that a pod still holds, and the pods that could take it."""

    base_path = '/pods/%(pod_id)s/remaining'
    resources_key = 'remaining'
    allow_list = True
    _query_mapping = QueryParameters('resource_type', 'project_id')

    pod_id = URI('pod_id')
    resource_type = Body('resource_type')
    resource_id = Body('resource_id')
    project_id = Body('project_id')
    candidates = Body('candidates', type=list)
    reason = Body('reason')


class RemainingSummary(AdminResource):
    """How many resources a pod still holds, by type and by project."""

    base_path = '/pods/%(pod_id)s/remaining'
    resource_key = 'summary'
    allow_fetch = True
    requires_id = False

    pod_id = URI('pod_id')
    total = Body('total', type=int)
    resources = Body('resources')
    projects = Body('projects', type=list)


class Selection(AdminResource):
    """The pods a new server or volume would be created in, best first, and the pods left out."""

    base_path = '/pods/select'
    resource_key = 'selection'
    allow_create = True

    project_id = Body('project_id')
    az_name = Body('az_name')
    service = Body('service')
    flavor = Body('flavor')
    volume_type = Body('volume_type')
    resources = Body('resources')
    extra_specs = Body('extra_specs')
    count = Body('count', type=int)
    pods = Body('pods', type=list)
    dropped = Body('dropped', type=list)


class Binding(AdminResource):
    """A binding of a project to a pod."""

    base_path = '/bindings'
    resource_key = 'pod_binding'
    resources_key = 'pod_bindings'
    allow_create = allow_fetch = allow_commit = allow_delete = allow_list = True
    _query_mapping = QueryParameters('tenant_id', 'pod_id', 'az_name', 'is_pinned', 'history', 'sort')

    tenant_id = Body('tenant_id')
    pod_id = Body('pod_id')
    az_name = Body('az_name')
    affinity_group = Body('affinity_group')
    is_pinned = Body('is_pinned', type=bool)
    is_exclusive = Body('is_exclusive', type=bool)
    started_at = Body('started_at')
    ended_at = Body('ended_at')


class Routing(AdminResource):
    """Which pod holds a resource."""

    base_path = '/routings'
    resource_key = 'routing'
    resources_key = 'routings'
    allow_create = allow_fetch = allow_commit = allow_delete = allow_list = True
    _query_mapping = QueryParameters('pod_id', 'project_id', 'resource_type', 'top_id', 'bottom_id', 'state', 'sort')

    top_id = Body('top_id')
    bottom_id = Body('bottom_id')
    pod_id = Body('pod_id')
    project_id = Body('project_id')
    resource_type = Body('resource_type')
    state = Body('state')
    created_at = Body('created_at')
    recorded_at = Body('recorded_at')
    deleted_at = Body('deleted_at')


class Claim(AdminResource):
    """Quota that is reserved for a request whose outcome is not known yet."""

    base_path = '/claims'
    resource_key = 'claim'
    resources_key = 'claims'
    allow_fetch = allow_delete = allow_list = True
    _query_mapping = QueryParameters(
        'project_id', 'pod_id', 'resource_type', 'resource_id', 'request_id', 'state', 'older_than', 'sort'
    )

    project_id = Body('project_id')
    user_id = Body('user_id')
    #: Quota resource -> amount.
    resources = Body('resources', type=dict)
    request_id = Body('request_id')
    pod_id = Body('pod_id')
    resource_type = Body('resource_type')
    resource_id = Body('resource_id')
    state = Body('state')
    created_at = Body('created_at')
    expires_at = Body('expires_at')


class Job(AdminResource):
    """Work that outlives a request."""

    base_path = '/jobs'
    resource_key = 'job'
    resources_key = 'jobs'
    allow_fetch = allow_list = True
    _query_mapping = QueryParameters('state', 'type', 'resource_key', 'request_id', 'sort')

    type = Body('type')
    #: ``resource_key`` in the Admin API; openstacksdk uses that name for something else.
    resource = Body('resource_key')
    state = Body('state')
    attempts = Body('attempts', type=int)
    run_after = Body('run_after')
    progress = Body('progress')
    result = Body('result')
    error = Body('error')
    history = Body('history')
    request_id = Body('request_id')
    created_at = Body('created_at')
    finished_at = Body('finished_at')

    @property
    def has_ended(self) -> bool:
        """Whether the job will not run again by itself."""
        return self.state in ('success', 'fail', 'cancelled')

    def redo(self, session: Any) -> Self:
        """Run the job once more."""
        self._translate_response(self._act(session, 'redo'))
        return self

    def cancel(self, session: Any) -> Self:
        """Cancel the job."""
        self._translate_response(self._act(session, 'cancel'))
        return self


class Move(AdminResource):
    """The move of a server with its volumes, or of a volume, to another pod."""

    base_path = '/moves'
    resource_key = 'move'
    resources_key = 'moves'
    allow_fetch = allow_list = True
    _query_mapping = QueryParameters(
        'project_id',
        'resource_id',
        'pod_id',
        'source_pod_id',
        'target_pod_id',
        'state',
        'status',
        'sort',
        is_active='active',
    )

    #: ``resource_type`` and ``resource_id`` in the Admin API.
    kind = Body('resource_type')
    moved_id = Body('resource_id')
    name = Body('name')
    project_id = Body('project_id')
    status = Body('status')
    state = Body('state')
    step = Body('step')
    percent = Body('percent', type=int)
    #: What may be asked of the move now: ``pause``, ``cancel`` ...
    verbs = Body('verbs', type=list)
    steps_done = Body('steps_done', type=int)
    steps_total = Body('steps_total', type=int)
    bytes_done = Body('bytes_done', type=int)
    bytes_total = Body('bytes_total', type=int)
    source_pod = Body('source_pod')
    target_pod = Body('target_pod')
    zone = Body('zone')
    error = Body('error')
    confirm_at = Body('confirm_at')
    created_at = Body('created_at')
    ended_at = Body('ended_at')
    plan = Body('plan')
    #: The ledger: ``items`` in the Admin API.
    ledger = Body('items')
    #: What an abandoned move has left in the pods.
    left = Body('left')
    #: Resources that a forced confirmation gave up.
    lost = Body('lost')

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ('confirmed', 'reverted', 'abandoned')

    @property
    def waits_for_somebody(self) -> bool:
        """Whether nothing happens until somebody resumes, confirms, reverts or cancels it."""
        return self.status in ('paused', 'stuck', 'switched')

    def steer(self, session: Any, verb: str, **options: Any) -> Self:
        """Pause, resume, cancel, confirm, revert, abandon or sweep the move.

        :param options: ``force`` of ``confirm``, ``back`` of ``abandon``
        """
        self._translate_response(self._act(session, verb, options or None))
        return self


class MoveGroup(AdminResource):
    """Servers and volumes that are moved by one order: an application, the drain of a pod, or a rebalancing."""

    base_path = '/move-groups'
    resource_key = 'move_group'
    resources_key = 'move_groups'
    allow_fetch = allow_list = True
    _query_mapping = QueryParameters('kind', 'status', 'project_id', 'source_pod_id', 'sort', is_active='active')

    #: ``application``, ``drain`` or ``rebalance``.
    kind = Body('kind')
    name = Body('name')
    project_id = Body('project_id')
    user_id = Body('user_id')
    source_pod_id = Body('source_pod_id')
    source_pod = Body('source_pod')
    zone = Body('zone')
    #: Names of the pods that its members go to, if it was created with them.
    target_pods = Body('target_pods', type=list)
    status = Body('status')
    #: Why it is paused, or what it waits for.
    reason = Body('reason')
    on_failure = Body('on_failure')
    max_failures = Body('max_failures', type=int)
    parallel = Body('parallel', type=int)
    canary = Body('canary', type=int)
    wave = Body('wave', type=int)
    bytes_per_second = Body('bytes_per_second', type=int)
    window = Body('window')
    confirm_seconds = Body('confirm_seconds', type=int)
    #: State of members -> how many have it.
    counts = Body('counts', type=dict)
    bytes_done = Body('bytes_done', type=int)
    bytes_total = Body('bytes_total', type=int)
    percent = Body('percent', type=int)
    #: What may be asked of the group now: ``pause``, ``cancel`` ...
    verbs = Body('verbs', type=list)
    #: When the members that have switched confirm themselves; of an application, as soon as all of them have.
    confirm_at = Body('confirm_at')
    created_at = Body('created_at')
    updated_at = Body('updated_at')
    ended_at = Body('ended_at')
    request_id = Body('request_id')

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ('completed', 'cancelled', 'reverted')

    @property
    def waits_for_somebody(self) -> bool:
        """Whether nothing happens until somebody resumes, confirms, reverts or cancels it.

        Members that have switched confirm themselves later, after ``confirm_seconds``.
        """
        if self.status == 'paused':
            return True
        if self.confirm_at and self.confirm_at <= self.updated_at:
            # Somebody has just confirmed it, or it is time.
            return False
        is_under_way = any(self.counts[state] for state in ('waiting', 'moving', 'undoing', 'confirming'))
        return not self.has_ended and not is_under_way and bool(self.counts['switched'])

    def steer(self, session: Any, verb: str) -> Self:
        """Pause, resume, cancel, confirm or revert the group."""
        self._translate_response(self._act(session, verb))
        return self


class MoveGroupMember(AdminResource):
    """A server or volume of a group of moves."""

    base_path = '/move-groups/%(group_id)s/members'
    resources_key = 'members'
    allow_list = True
    _query_mapping = QueryParameters('state', 'resource_type', 'resource_id', 'project_id', 'sort')

    group_id = URI('group_id')
    position = Body('position', type=int)
    #: The first one is 0.
    wave = Body('wave', type=int)
    resource_type = Body('resource_type')
    resource_id = Body('resource_id')
    name = Body('name')
    project_id = Body('project_id')
    state = Body('state')
    move_id = Body('move_id')
    target_pod = Body('target_pod')
    #: Why it was refused, failed or was undone.
    reason = Body('reason')
    tries = Body('tries', type=int)


class Project(AdminResource):
    """A project of Keystone, for the actions on a project in all pods."""

    base_path = '/projects'

    def empty(self, session: Any, dry_run: bool = False) -> Job:
        """Delete what is left of the project in all pods."""
        return self._act_by_job(session, 'empty', {'dry_run': dry_run})

    def recount(self, session: Any) -> Job:
        """Count again in the pods what the project uses of its quota."""
        return self._act_by_job(session, 'recount')


class Replica(AdminResource):
    """A replicated object that is out of sync in a pod."""

    base_path = '/replicas'
    resources_key = 'replicas'
    allow_list = True
    _query_mapping = QueryParameters('pod_id', 'kind', 'state', 'sort')

    pod_id = Body('pod_id')
    pod_name = Body('pod_name')
    kind = Body('kind')
    key = Body('key')
    top_id = Body('top_id')
    bottom_id = Body('bottom_id')
    state = Body('state')
    is_deleted = Body('is_deleted', type=bool)
    generation = Body('generation', type=int)
    desired_generation = Body('desired_generation', type=int)
    attempts = Body('attempts', type=int)
    error = Body('error')
    updated_at = Body('updated_at')


class ReplicaSummary(AdminResource):
    """How many replicas are out of sync in a pod."""

    base_path = '/replicas'
    resources_key = 'pods'
    allow_list = True
    _query_mapping = QueryParameters('pod_id', 'kind', 'state')

    pod_id = Body('pod_id')
    pod_name = Body('pod_name')
    out_of_sync = Body('out_of_sync', type=int)


class Usage(AdminResource):
    """Capacity and use of one service of a pod, as last read."""

    base_path = '/usages'
    resources_key = 'usages'
    allow_list = True
    _query_mapping = QueryParameters('pod_id', 'service', 'az_name', 'sort')

    pod_id = Body('pod_id')
    pod_name = Body('pod_name')
    az_name = Body('az_name')
    service = Body('service')
    resources = Body('resources')
    is_stale = Body('is_stale', type=bool)
    collected_at = Body('collected_at')


class UsageSum(AdminResource):
    """Capacity and use of one service over several pods."""

    base_path = '/usages'
    resources_key = 'sums'
    allow_list = True
    _query_mapping = QueryParameters('pod_id', 'service', 'az_name')

    service = Body('service')
    pods = Body('pods', type=int)
    resources = Body('resources')
