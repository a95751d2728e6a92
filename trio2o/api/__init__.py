# SPDX-License-Identifier: Apache-2.0
"""The Admin API v1.0, for operators: an operation table like those of the gateways, served from the database."""

from trio2o import dashboard
from trio2o.api import (
    adoption,
    bindings,
    claims,
    draining,
    jobs,
    move_groups,
    moves,
    openapi,
    pods,
    recount,
    replicas,
    response_schemas,
    routings,
    selection,
    usages,
    versions,
)
from trio2o.api.schemas import adoption as adoption_schemas
from trio2o.api.schemas import bindings as binding_schemas
from trio2o.api.schemas import claims as claim_schemas
from trio2o.api.schemas import draining as draining_schemas
from trio2o.api.schemas import jobs as job_schemas
from trio2o.api.schemas import move_groups as group_schemas
from trio2o.api.schemas import moves as move_schemas
from trio2o.api.schemas import pods as pod_schemas
from trio2o.api.schemas import replicas as replica_schemas
from trio2o.api.schemas import routings as routing_schemas
from trio2o.api.schemas import selection as select_schemas
from trio2o.api.schemas import usages as usage_schemas
from trio2o.db import records
from trio2o.web.operations import ADMIN, READER, Handler, Operation, OperationTable
from trio2o.web.service import Service
from trio2o.web.validation import Body, Query, validated

#: The rule that admits projects to moves of what belongs to them.
_OWN = 'moves.own'
_VERBS = ('pause', 'resume', 'cancel', 'confirm', 'revert')
_STEERING = tuple(f'moves.{verb}' for verb in _VERBS)
_STEERING_GROUPS = tuple(f'move_groups.{verb}' for verb in _VERBS)

#: Operation -> schema of its body or query, for the OpenAPI document. A test compares it with the handlers.
ACCEPTS: dict[str, Body | Query] = {
    'pods.list': pod_schemas.LIST,
    'pods.create': pod_schemas.CREATE,
    'pods.replace': pod_schemas.UPDATE,
    'pods.update': pod_schemas.UPDATE,
    'pods.delete': pod_schemas.DELETE,
    'bindings.list': binding_schemas.LIST,
    'bindings.show': binding_schemas.SHOW,
    'bindings.create': binding_schemas.CREATE,
    'bindings.update': binding_schemas.UPDATE,
    'routings.list': routing_schemas.LIST,
    'routings.show': routing_schemas.SHOW,
    'routings.create': routing_schemas.CREATE,
    'routings.replace': routing_schemas.UPDATE,
    'routings.update': routing_schemas.UPDATE,
    'claims.list': claim_schemas.LIST,
    'jobs.list': job_schemas.LIST,
    'moves.list': move_schemas.LIST,
    'moves.create': move_schemas.CREATE,
    **dict.fromkeys(_STEERING, move_schemas.VERB),
    'moves.confirm': move_schemas.CONFIRM,
    'moves.abandon': move_schemas.ABANDON,
    'moves.sweep': move_schemas.VERB,
    'move_groups.list': group_schemas.LIST,
    'move_groups.create': group_schemas.CREATE,
    'move_groups.members': group_schemas.MEMBERS,
    **dict.fromkeys(_STEERING_GROUPS, group_schemas.VERB),
    'replicas.list': replica_schemas.LIST,
    'usages.list': usage_schemas.LIST,
    'pods.select': select_schemas.SELECT,
    'pods.adopt': adoption_schemas.ADOPT,
    'pods.reconcile': adoption_schemas.RECONCILE,
    'pods.drain': draining_schemas.DRAIN,
    'pods.remaining': draining_schemas.REMAINING,
    'projects.empty': adoption_schemas.EMPTY,
    'projects.recount': adoption_schemas.RECOUNT,
}

_POD = response_schemas.of(records.Pod)
_JOB = response_schemas.of(records.Job)
#: Operation -> schema of its successful answer, for the OpenAPI document. A test compares it with real answers.
RETURNS: dict[str, response_schemas.Json] = {
    'pods.list': response_schemas.many('pods', _POD),
    'pods.show': response_schemas.one(
        'pod',
        response_schemas.of(
            records.Pod, state_changes={'type': 'array', 'items': response_schemas.of(records.PodStateChange)}
        ),
    ),
    'pods.create': response_schemas.one('pod', _POD),
    'pods.replace': response_schemas.one('pod', _POD),
    'pods.update': response_schemas.one('pod', _POD),
    'pods.delete': response_schemas.NO_FIELDS,
    'bindings.list': response_schemas.many('pod_bindings', response_schemas.of(records.Binding)),
    'bindings.show': response_schemas.one('pod_binding', response_schemas.of(records.Binding)),
    'bindings.create': response_schemas.one('pod_binding', response_schemas.of(records.Binding)),
    'bindings.update': response_schemas.one('pod_binding', response_schemas.of(records.Binding)),
    'bindings.delete': response_schemas.NO_FIELDS,
    'routings.list': response_schemas.many('routings', response_schemas.of(records.Routing)),
    'routings.show': response_schemas.one('routing', response_schemas.of(records.Routing)),
    'routings.create': response_schemas.one('routing', response_schemas.of(records.Routing)),
    'routings.replace': response_schemas.one('routing', response_schemas.of(records.Routing)),
    'routings.update': response_schemas.one('routing', response_schemas.of(records.Routing)),
    'routings.delete': response_schemas.NO_FIELDS,
    'claims.list': response_schemas.many('claims', response_schemas.of(records.QuotaClaim)),
    'claims.show': response_schemas.one('claim', response_schemas.of(records.QuotaClaim)),
    'claims.delete': response_schemas.NO_FIELDS,
    'jobs.list': response_schemas.many('jobs', _JOB),
    'jobs.show': response_schemas.one(
        'job',
        response_schemas.of(records.Job, history={'type': 'array', 'items': response_schemas.of(records.JobEvent)}),
    ),
    'jobs.redo': response_schemas.one('job', _JOB),
    'jobs.cancel': response_schemas.one('job', _JOB),
    'moves.list': response_schemas.many('moves', moves.SHAPE),
    'moves.show': response_schemas.one('move', moves.SHOW_SHAPE),
    'moves.create': moves.CREATED_SHAPE,
    **dict.fromkeys((*_STEERING, 'moves.sweep'), response_schemas.one('move', moves.SHAPE)),
    'moves.abandon': response_schemas.one('move', moves.SHOW_SHAPE),
    'move_groups.list': response_schemas.many('move_groups', move_groups.SHAPE),
    'move_groups.show': response_schemas.one('move_group', move_groups.SHAPE),
    'move_groups.create': move_groups.CREATED_SHAPE,
    'move_groups.members': response_schemas.many('members', move_groups.MEMBER_SHAPE),
    **dict.fromkeys(_STEERING_GROUPS, response_schemas.one('move_group', move_groups.SHAPE)),
    'replicas.list': response_schemas.many(
        'replicas', replicas.SHAPE, pods={'type': 'array', 'items': replicas.SUMMARY_SHAPE}
    ),
    'usages.list': response_schemas.many('usages', usages.SHAPE, sums={'type': 'array', 'items': usages.SUM_SHAPE}),
    'pods.select': response_schemas.one('selection', selection.SHAPE),
    'pods.adopt': response_schemas.one('job', _JOB),
    'pods.reconcile': response_schemas.one('job', _JOB),
    'pods.drain': {
        'type': 'object',
        'required': ['pod', 'remaining'],
        'properties': {'pod': _POD, 'remaining': draining.SUMMARY_SHAPE},
    },
    'pods.remaining': response_schemas.many('remaining', draining.SHAPE, summary=draining.SUMMARY_SHAPE),
    'projects.empty': response_schemas.one('job', _JOB),
    'projects.recount': response_schemas.one('job', _JOB),
}


def _own(name: str, method: str, path: str, handler: Handler, role: str) -> Operation:
    """Make a row that projects may use for what belongs to them."""
    return Operation(name, method, path, handler, role=role, own_rule=_OWN)


OPERATIONS = OperationTable(
    validated(
        [
            Operation('pods.list', 'GET', '/pods', pods.list_pods, role=READER),
            Operation('pods.show', 'GET', '/pods/{pod_id}', pods.show_pod, role=READER),
            Operation('pods.create', 'POST', '/pods', pods.create_pod, role=ADMIN),
            Operation('pods.replace', 'PUT', '/pods/{pod_id}', pods.update_pod, role=ADMIN),
            Operation('pods.update', 'PATCH', '/pods/{pod_id}', pods.update_pod, role=ADMIN),
            Operation('pods.delete', 'DELETE', '/pods/{pod_id}', pods.delete_pod, role=ADMIN),
            Operation('pods.select', 'POST', '/pods/select', selection.select_pod, role=READER),
            Operation('pods.adopt', 'POST', '/pods/{pod_id}/adopt', adoption.adopt_pod, role=ADMIN),
            Operation('pods.reconcile', 'POST', '/pods/{pod_id}/reconcile', adoption.reconcile_pod, role=ADMIN),
            Operation('pods.drain', 'POST', '/pods/{pod_id}/drain', draining.drain_pod, role=ADMIN),
            Operation('pods.remaining', 'GET', '/pods/{pod_id}/remaining', draining.list_remaining, role=READER),
            Operation('projects.empty', 'POST', '/projects/{project_id}/empty', adoption.empty_project, role=ADMIN),
            Operation(
                'projects.recount', 'POST', '/projects/{project_id}/recount', recount.recount_project, role=ADMIN
            ),
            Operation('bindings.list', 'GET', '/bindings', bindings.list_bindings, role=READER),
            Operation('bindings.show', 'GET', '/bindings/{binding_id}', bindings.show_binding, role=READER),
            Operation('bindings.create', 'POST', '/bindings', bindings.create_binding, role=ADMIN),
            Operation('bindings.update', 'PATCH', '/bindings/{binding_id}', bindings.update_binding, role=ADMIN),
            Operation('bindings.delete', 'DELETE', '/bindings/{binding_id}', bindings.delete_binding, role=ADMIN),
            Operation('routings.list', 'GET', '/routings', routings.list_routings, role=READER),
            Operation('routings.show', 'GET', '/routings/{routing_id}', routings.show_routing, role=READER),
            Operation('routings.create', 'POST', '/routings', routings.create_routing, role=ADMIN),
            Operation('routings.replace', 'PUT', '/routings/{routing_id}', routings.update_routing, role=ADMIN),
            Operation('routings.update', 'PATCH', '/routings/{routing_id}', routings.update_routing, role=ADMIN),
            Operation('routings.delete', 'DELETE', '/routings/{routing_id}', routings.delete_routing, role=ADMIN),
            Operation('claims.list', 'GET', '/claims', claims.list_claims, role=READER),
            Operation('claims.show', 'GET', '/claims/{claim_id}', claims.show_claim, role=READER),
            Operation('claims.delete', 'DELETE', '/claims/{claim_id}', claims.delete_claim, role=ADMIN),
            Operation('jobs.list', 'GET', '/jobs', jobs.list_jobs, role=READER),
            Operation('jobs.show', 'GET', '/jobs/{job_id}', jobs.show_job, role=READER),
            Operation('jobs.redo', 'POST', '/jobs/{job_id}/redo', jobs.redo_job, role=ADMIN),
            Operation('jobs.cancel', 'POST', '/jobs/{job_id}/cancel', jobs.cancel_job, role=ADMIN),
            _own('moves.list', 'GET', '/moves', moves.list_moves, READER),
            _own('moves.show', 'GET', '/moves/{move_id}', moves.show_move, READER),
            _own('moves.create', 'POST', '/moves', moves.create_move, ADMIN),
            _own('moves.pause', 'POST', '/moves/{move_id}/pause', moves.pause_move, ADMIN),
            _own('moves.resume', 'POST', '/moves/{move_id}/resume', moves.resume_move, ADMIN),
            _own('moves.cancel', 'POST', '/moves/{move_id}/cancel', moves.cancel_move, ADMIN),
            _own('moves.confirm', 'POST', '/moves/{move_id}/confirm', moves.confirm_move, ADMIN),
            _own('moves.revert', 'POST', '/moves/{move_id}/revert', moves.revert_move, ADMIN),
            Operation('moves.abandon', 'POST', '/moves/{move_id}/abandon', moves.abandon_move, role=ADMIN),
            Operation('moves.sweep', 'POST', '/moves/{move_id}/sweep', moves.sweep_move, role=ADMIN),
            _own('move_groups.list', 'GET', '/move-groups', move_groups.list_groups, READER),
            _own('move_groups.show', 'GET', '/move-groups/{group_id}', move_groups.show_group, READER),
            _own('move_groups.members', 'GET', '/move-groups/{group_id}/members', move_groups.list_members, READER),
            _own('move_groups.create', 'POST', '/move-groups', move_groups.create_group, ADMIN),
            _own('move_groups.pause', 'POST', '/move-groups/{group_id}/pause', move_groups.pause_group, ADMIN),
            _own('move_groups.resume', 'POST', '/move-groups/{group_id}/resume', move_groups.resume_group, ADMIN),
            _own('move_groups.cancel', 'POST', '/move-groups/{group_id}/cancel', move_groups.cancel_group, ADMIN),
            _own('move_groups.confirm', 'POST', '/move-groups/{group_id}/confirm', move_groups.confirm_group, ADMIN),
            _own('move_groups.revert', 'POST', '/move-groups/{group_id}/revert', move_groups.revert_group, ADMIN),
            Operation('replicas.list', 'GET', '/replicas', replicas.list_replicas, role=READER),
            Operation('usages.list', 'GET', '/usages', usages.list_usages, role=READER),
        ],
        ACCEPTS,
    ),
    fixed_wins=True,
)


SERVICE = Service(
    name='api',
    service_type='',
    catalog_types=('trio2o', 'Cascading'),
    prefix='/v1.0',
    operations=OPERATIONS,
    pages={
        '': versions.list_versions,
        '/': versions.list_versions,
        '/v1.0': versions.show_version,
        '/v1.0/': versions.show_version,
        openapi.PATH: openapi.page(OPERATIONS, ACCEPTS, RETURNS),
    },
    mounts={dashboard.PREFIX: dashboard.make},
    has_project_in_path=False,
    compat_request_id=False,
    follows_http=True,
)
