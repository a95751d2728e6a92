# SPDX-License-Identifier: Apache-2.0
"""/move-groups: plan, begin, list, show and steer applications, drains of pods and the rebalancing of zones.

The rule ``moves.own`` admits projects to applications: they move what belongs to them to a zone, and learn of no pod.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from trio2o import exception
from trio2o.api import moves, pagination, pods, response_schemas
from trio2o.api.response_schemas import NUMBER, TEXT
from trio2o.api.schemas import move_groups as schemas
from trio2o.db import move_groups, routings
from trio2o.db import pods as db_pods
from trio2o.db.database import Database
from trio2o.db.jobs import JobRow
from trio2o.db.move_groups import NewMember
from trio2o.db.moves import Refused
from trio2o.db.records import (
    APPLICATION,
    DRAIN,
    LIVE_STATES,
    REBALANCE,
    Job,
    MoveGroup,
    MoveGroupMember,
    Routing,
)
from trio2o.moves.groups import ordering, preview, rebalance, selection
from trio2o.moves.groups.options import CONTINUE, Options
from trio2o.moves.groups.ordering import Order
from trio2o.pods.registry import PodView
from trio2o.web.call import Answer, Call

Json = dict[str, Any]

_FIELDS = (
    'id',
    'kind',
    'name',
    'project_id',
    'user_id',
    'zone',
    'confirm_at',
    'percent',
    'bytes_done',
    'bytes_total',
    'created_at',
    'updated_at',
    'ended_at',
)
_POD_FIELDS = ('source_pod_id', 'request_id')
_MEMBER_FIELDS = (
    'id',
    'position',
    'wave',
    'resource_type',
    'resource_id',
    'name',
    'project_id',
    'state',
    'tries',
    'move_id',
    'updated_at',
)
_OPTIONS = tuple(Options.__dataclass_fields__)
_OF_RECORD = response_schemas.of(MoveGroup)['properties']
_OF_MEMBER = response_schemas.of(MoveGroupMember)['properties']
_TEXT_OR_NULL: Json = {'type': ['string', 'null']}
SHAPE: Json = {
    'type': 'object',
    'required': sorted({*_FIELDS, *_OPTIONS, 'status', 'reason', 'counts', 'verbs'}),
    'properties': {
        **{name: _OF_RECORD[name] for name in (*_FIELDS, *_POD_FIELDS)},
        'status': TEXT,
        'reason': {**_TEXT_OR_NULL, 'description': 'why it is paused, or what it waits for'},
        'counts': {'type': 'object', 'additionalProperties': NUMBER, 'description': 'members by state'},
        'verbs': {'type': 'array', 'items': TEXT, 'description': 'what may be asked of the group now'},
        'source_pod': _TEXT_OR_NULL,
        'target_pods': {'type': 'array', 'items': TEXT},
        'on_failure': TEXT,
        'window': TEXT,
        **{name: NUMBER for name in _OPTIONS if name not in ('on_failure', 'window')},
    },
}
MEMBER_SHAPE: Json = {
    'type': 'object',
    'required': sorted({*_MEMBER_FIELDS, 'reason'}),
    'properties': {
        **{name: _OF_MEMBER[name] for name in _MEMBER_FIELDS},
        'reason': _TEXT_OR_NULL,
        'target_pod': _TEXT_OR_NULL,
    },
}
PLAN_SHAPE: Json = {
    'type': 'object',
    'required': ['kind', 'members', 'bytes', 'seconds', 'counts', 'is_complete'],
    'properties': {
        'kind': TEXT,
        'members': {'type': 'array', 'items': {'type': 'object'}},
        'bytes': NUMBER,
        'seconds': NUMBER,
        'counts': {'type': 'object', 'additionalProperties': NUMBER},
        'is_complete': {'type': 'boolean', 'description': 'false: these are only the first members'},
    },
}
CREATED_SHAPE: Json = {'type': 'object', 'properties': {'move_group': SHAPE, 'plan': PLAN_SHAPE}}

#: Kind -> fields that only this kind has.
_OF_KIND = {
    APPLICATION: ('members', 'server_group_id', 'tag', 'project_id'),
    DRAIN: ('source_pod',),
    REBALANCE: (),
}
_SELECTIONS = ('members', 'server_group_id', 'tag')


def create_group(call: Call) -> Answer:
    """POST /move-groups: 202 with the group, or 200 with the plan of a dry run. 400, 404, 409, 422, 503."""
    given = schemas.CREATE.read(call)
    _check_fields(call, given)
    order = _order(call, given)
    group = ordering.group_of(order)
    members, total = _members(call, order, given)
    if given.get('dry_run'):
        return Answer.of({'plan': _plan_view(call, preview.plan(call.runtime, group, members, total))})
    if order.kind == APPLICATION:
        _check_movable(call, group, members)
    if order.kind == REBALANCE and not members:
        raise exception.Conflict(f'The pods of zone {order.zone} are even: no move would make them more equal.')
    if order.source_pod_id is not None:
        _close(call, order.source_pod_id)
    made = ordering.submit(call.runtime, group, [] if order.kind == DRAIN else members)
    return Answer.of({'move_group': view(call, made)}, 202)


def _check_fields(call: Call, given: Json) -> None:
    """:raises Unprocessable: the fields do not fit together; :raises Forbidden: a project names pods"""
    kind = given['kind']
    for other, names in _OF_KIND.items():
        for name in names:
            if name in given and other != kind:
                raise _invalid(name, f'only of kind {other}')
    if kind == APPLICATION and sum(name in given for name in _SELECTIONS) != 1:
        raise _invalid('members', f'give one of {", ".join(_SELECTIONS)}')
    if kind == DRAIN and 'source_pod' not in given:
        raise _invalid('source_pod', 'name the pod to drain')
    if 'zone' in given and 'target_pods' in given:
        raise _invalid('zone', 'give either zone or target_pods')
    if kind == REBALANCE and 'zone' not in given:
        raise _invalid('zone', 'name the zone to rebalance')
    if kind == APPLICATION and not {'zone', 'target_pods'} & given.keys():
        raise _invalid('zone', 'give either zone or target_pods')
    if 'project_id' in given and 'tag' not in given:
        raise _invalid('project_id', 'it says whose servers have the tag')
    if given.get('max_failures') is not None and given.get('on_failure', CONTINUE) != CONTINUE:
        raise _invalid('max_failures', 'it needs on_failure=continue')
    if call.context.is_for_own_project and (kind != APPLICATION or 'target_pods' in given):
        raise exception.Forbidden('Move an application, and give the availability zone to move to, and no pod.')


def _order(call: Call, given: Json) -> Order:
    kind, context = given['kind'], call.context
    options = ordering.default_options(kind, call.runtime.conf.moves.confirm_seconds)
    chosen = {name: given[name] for name in _OPTIONS if name in given}
    if 'max_failures' in chosen:
        chosen.setdefault('on_failure', CONTINUE)
    source = _pod(call, 'source_pod', given['source_pod']) if kind == DRAIN else None
    targets = tuple(_pod(call, 'target_pods', name).id for name in given.get('target_pods', ()))
    zone = given.get('zone', '')
    if source is not None:
        if source.id in targets:
            raise _invalid('target_pods', f'{source.name} is the pod that is drained')
        zone = zone or ('' if targets else source.zone)
    if zone and zone not in call.runtime.registry.snapshot().by_zone:
        raise exception.NotFound(f'Availability zone {zone} could not be found.')
    own = (context.project_id or '') if context.is_for_own_project else ''
    return Order(
        kind=kind,
        name=given.get('name', ''),
        project_id=own,
        user_id=context.user_id or '',
        zone=zone,
        targets=targets,
        source_pod_id=source.id if source is not None else None,
        options=replace(options, **chosen),
    )


def _members(call: Call, order: Order, given: Json) -> tuple[list[NewMember], int]:
    """Return the members, of a drain only those that a dry run plans, and the number of all."""
    runtime = call.runtime
    if order.kind == REBALANCE:
        found = rebalance.choose(runtime, order.zone, order.options)
        return found, len(found)
    if order.kind == DRAIN:
        return _in_pod(call, order)
    members = ordering.members_of(runtime, order, _chosen(call, given))
    return members, len(members)


def _in_pod(call: Call, order: Order) -> tuple[list[NewMember], int]:
    db, members, total = call.runtime.db, [], 0
    for kind in selection.DRAINED:
        filters = {'pod_id': order.source_pod_id, 'resource_type': kind, 'state': LIVE_STATES}
        found = routings.list_(db, filters=filters, limit=preview.MOST)
        members += found
        total += routings.count_by_pod(db, order.source_pod_id or '', {kind})
    rows = [
        NewMember(at, at, order.options.wave_of(at), each.resource_type, each.top_id, each.project_id)
        for at, each in enumerate(members)
    ]
    return rows, total


def _chosen(call: Call, given: Json) -> list[Routing]:
    """Return the resources of an application. :raises NotFound: one does not exist, or is of another project"""
    runtime, context = call.runtime, call.context
    own = context.project_id if context.is_for_own_project else None
    if 'members' in given:
        found = selection.named(runtime, [(each['type'], each['id']) for each in given['members']])
        for routing in found:
            if own is not None and routing.project_id != own:
                raise exception.NotFound(f'{routing.resource_type.capitalize()} {routing.top_id} could not be found.')
        return found
    if 'server_group_id' in given:
        found, what = selection.of_server_group(runtime, given['server_group_id'], own), 'The server group has'
    else:
        project_id = own or given.get('project_id') or context.project_id or ''
        found, what = selection.with_tag(runtime, given['tag'], project_id), f'Project {project_id} has'
    if not found:
        raise exception.BadRequest(f'{what} no such servers.')
    if len(found) > schemas.MOST_MEMBERS:
        raise exception.BadRequest(f'An application has at most {schemas.MOST_MEMBERS} members, not {len(found)}.')
    return found


def _check_movable(call: Call, group: MoveGroup, members: Sequence[NewMember]) -> None:
    """Plan an application before its first move begins. :raises Blocked: a member cannot be moved"""
    plan = _plan_view(call, preview.plan(call.runtime, group, members, len(members)))
    found = preview.refusals(plan)
    if found:
        texts = ' '.join(f'{each["resource"]}: {each["text"]}' for each in found[:10])
        raise exception.Blocked(f'The application cannot be moved: {texts}', found)


def _close(call: Call, pod_id: str) -> None:
    """Let nothing new be created in a pod that is drained."""
    pod = db_pods.get(call.runtime.db, pod_id)
    if pod is not None and pod.state == 'enabled':
        pods.change(call, pod, {'state': 'draining'}, 'It is drained by moves.')


def list_groups(call: Call) -> Answer:
    """GET /move-groups, the newest first: 200, 400."""
    query = schemas.LIST.read(call)
    filters = pagination.filters_of(query, 'active', 'status')
    is_active = pagination.is_true(query, 'active') if 'active' in query else None
    if call.context.is_for_own_project:
        if 'source_pod_id' in query:
            raise exception.Forbidden('Only operators list the move groups of a pod.')
        own = call.context.project_id
        filters['project_id'] = own if filters.get('project_id', own) == own else []

    counts: dict[str, Json] = {}

    def list_(db: Database, **options: Any) -> list[MoveGroup]:
        found = move_groups.list_(db, is_active=is_active, status=query.get('status'), **options)
        counts.update(move_groups.counts(db, [group.id for group in found]))
        return found

    return pagination.read(
        call,
        'move_groups',
        query,
        list_,
        lambda group: view(call, group, counts[group.id]),
        filters=filters,
        default=(('created_at', 'desc'),),
    )


def show_group(call: Call) -> Answer:
    """GET /move-groups/{group_id}: 200, 404."""
    return Answer.of({'move_group': view(call, _existing(call))})


def list_members(call: Call) -> Answer:
    """GET /move-groups/{group_id}/members, in their order: 200, 400, 404."""
    query = schemas.MEMBERS.read(call)
    group = _existing(call)

    def list_(db: Database, **options: Any) -> list[MoveGroupMember]:
        return move_groups.members(db, group.id, **options)

    return pagination.read(
        call,
        'members',
        query,
        list_,
        lambda member: _member_view(call, member),
        filters=pagination.filters_of(query),
        default=(('position', 'asc'),),
        marker=int(query['marker']) if 'marker' in query else None,
    )


def view(call: Call, group: MoveGroup, counts: Json | None = None) -> Json:
    """Return a group as its caller may see it.

    :param counts: numbers of its members by their states; None: they are read
    """
    row = asdict(group)
    shown = {name: row[name] for name in _FIELDS}
    shown |= {name: group.options[name] for name in _OPTIONS}
    shown |= {
        'status': group.status,
        'reason': _for_caller(call, group.reason),
        'counts': move_groups.counts(call.runtime.db, [group.id])[group.id] if counts is None else counts,
        'verbs': move_groups.allowed_verbs(group),
    }
    if call.context.is_for_own_project:
        return shown
    names = _names(call)
    source = group.source_pod_id
    return (
        shown
        | {name: row[name] for name in _POD_FIELDS}
        | {'source_pod': names.get(source, source) if source else None}
        | {'target_pods': [names.get(pod_id, pod_id) for pod_id in group.targets]}
    )


def _member_view(call: Call, member: MoveGroupMember) -> Json:
    row = asdict(member)
    shown = {name: row[name] for name in _MEMBER_FIELDS} | {'reason': _for_caller(call, member.reason)}
    if call.context.is_for_own_project:
        return shown
    target = member.target_pod_id
    return shown | {'target_pod': _names(call).get(target, target) if target else None}


def _names(call: Call) -> dict[str, str]:
    return {pod.id: pod.name for pod in call.runtime.registry.snapshot().pods}


def _for_caller(call: Call, text: str | None) -> str | None:
    if text is None or not call.context.is_for_own_project:
        return text
    return moves.without_pods(call, text)


def _plan_view(call: Call, plan: Json) -> Json:
    if not call.context.is_for_own_project:
        return plan
    rows = [
        {
            **{name: value for name, value in row.items() if name != 'target_pod'},
            'findings': [{**each, 'text': moves.without_pods(call, each['text'])} for each in row['findings']],
        }
        for row in plan['members']
    ]
    return {**plan, 'members': rows}


def pause_group(call: Call) -> Answer:
    """POST /move-groups/{group_id}/pause: 202, 404, 409, 422."""
    schemas.VERB.read(call)
    return _steer(call, move_groups.pause)


def resume_group(call: Call) -> Answer:
    """POST /move-groups/{group_id}/resume: 202, 404, 409, 422."""
    schemas.VERB.read(call)
    return _steer(call, move_groups.resume)


def cancel_group(call: Call) -> Answer:
    """POST /move-groups/{group_id}/cancel: 202, 404, 409, 422."""
    schemas.VERB.read(call)
    return _steer(call, move_groups.cancel)


def confirm_group(call: Call) -> Answer:
    """POST /move-groups/{group_id}/confirm: 202, 404, 409, 422."""
    schemas.VERB.read(call)
    return _steer(call, move_groups.confirm)


def revert_group(call: Call) -> Answer:
    """POST /move-groups/{group_id}/revert: 202, 404, 409, 422."""
    schemas.VERB.read(call)
    return _steer(call, move_groups.revert)


def _steer(call: Call, verb: Callable[[Database, str, JobRow], MoveGroup | None]) -> Answer:
    group = _existing(call)
    job = ordering.job_of(call.runtime, group.id)
    try:
        changed = verb(call.runtime.db, group.id, job)
    except Refused as error:
        raise exception.Conflict(str(error)) from error
    if changed is None:
        raise _not_found(call.id)
    call.runtime.jobs.notify(Job(**job))
    return Answer.of({'move_group': view(call, changed)}, 202)


def _existing(call: Call) -> MoveGroup:
    """:raises NotFound: there is no such group, or the caller may not know of it"""
    group = move_groups.get(call.runtime.db, call.id)
    context = call.context
    if group is None or (context.is_for_own_project and group.project_id != context.project_id):
        raise _not_found(call.id)
    return group


def _pod(call: Call, field: str, name: str) -> PodView:
    """:raises Unprocessable: there is no such pod"""
    for pod in call.runtime.registry.refresh().pods:
        if name in (pod.name, pod.id):
            return pod
    raise _invalid(field, f'there is no pod {name}')


def _invalid(field: str, why: str) -> exception.Unprocessable:
    return exception.Unprocessable(f"Invalid input for field 'move_group.{field}': {why}.")


def _not_found(group_id: str) -> exception.NotFound:
    return exception.NotFound(f'Move group {group_id} could not be found.')
