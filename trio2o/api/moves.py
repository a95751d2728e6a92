# SPDX-License-Identifier: Apache-2.0
"""/moves: plan, begin, list, show and steer moves of servers and volumes between pods.

Administrators may move everything, and readers see all moves. The rule ``moves.own`` admits projects: they move what
belongs to them to a zone, see and steer these moves, and learn of no pod.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from trio2o import exception
from trio2o.api import pagination, response_schemas
from trio2o.api.response_schemas import NUMBER, TEXT
from trio2o.api.schemas import moves as schemas
from trio2o.db import moves as db_moves
from trio2o.db import routings
from trio2o.db.database import Database
from trio2o.db.jobs import JobRow
from trio2o.db.records import ABANDONED, Job, Move, MoveItem
from trio2o.moves import ending, planner, sweeping
from trio2o.moves.checks import BLOCKER
from trio2o.moves.ledger import Unfit
from trio2o.moves.planner import Plan, Wanted
from trio2o.moves.step import work_on
from trio2o.pods.podapi import PodRefused
from trio2o.web.call import Answer, Call

LOG = logging.getLogger(__name__)

Json = dict[str, Any]

#: Fields of a move that are shown to everybody who may see it.
_FIELDS = (
    'id',
    'project_id',
    'user_id',
    'resource_type',
    'resource_id',
    'name',
    'state',
    'step',
    'steps_done',
    'steps_total',
    'bytes_done',
    'bytes_total',
    'error',
    'confirm_seconds',
    'confirm_at',
    'created_at',
    'updated_at',
    'ended_at',
    'group_id',
)
_POD_FIELDS = ('source_pod_id', 'target_pod_id', 'request_id')
#: Parts of a plan that projects are shown.
_OWN_PARTS = (
    'resource_type',
    'resource_id',
    'name',
    'project_id',
    'zone',
    'bytes',
    'seconds',
    'is_verified',
    'volumes',
    'findings',
)
#: What projects see in place of a text for operators.
_ASK = 'Ask the operator of this cloud.'
_OF_RECORD = response_schemas.of(Move)['properties']
SHAPE: Json = {
    'type': 'object',
    'required': sorted({*_FIELDS, 'status', 'percent', 'zone', 'verbs'}),
    'properties': {
        **{name: _OF_RECORD[name] for name in (*_FIELDS, *_POD_FIELDS)},
        'status': TEXT,
        'percent': NUMBER,
        'zone': TEXT,
        'verbs': {'type': 'array', 'items': TEXT, 'description': 'what may be asked of the move now'},
        'source_pod': TEXT,
        'target_pod': TEXT,
    },
}
PLAN_SHAPE: Json = {
    'type': 'object',
    'required': ['resource_type', 'resource_id', 'findings', 'bytes', 'seconds', 'zone'],
    'properties': {
        'resource_type': TEXT,
        'resource_id': TEXT,
        'bytes': NUMBER,
        'seconds': NUMBER,
        'zone': TEXT,
        'findings': {
            'type': 'array',
            'items': {
                'type': 'object',
                'required': ['level', 'code', 'text', 'resource'],
                'properties': dict.fromkeys(('level', 'code', 'text', 'resource'), TEXT),
            },
        },
    },
}
_ITEM = response_schemas.of(MoveItem)
_LEFT = ('key', 'resource_type', 'pod_id', 'pod', 'resource_id', 'reason', 'todo')
SHOW_SHAPE: Json = {
    **SHAPE,
    'required': [*SHAPE['required'], 'plan'],
    'properties': {
        **SHAPE['properties'],
        'plan': PLAN_SHAPE,
        'items': {'type': 'array', 'items': _ITEM},
        'lost': {'type': 'array', 'items': TEXT, 'description': 'resources that a forced confirmation gave up'},
        'left': {
            'type': 'array',
            'description': 'what an abandoned move has left in the pods',
            'items': {'type': 'object', 'required': list(_LEFT), 'properties': dict.fromkeys(_LEFT, TEXT)},
        },
    },
}
#: The answer of a create: the move, or the plan of a dry run.
CREATED_SHAPE: Json = {'type': 'object', 'properties': {'move': SHAPE, 'plan': PLAN_SHAPE}}


def view(call: Call, move: Move) -> Json:
    """Return a move as its caller may see it."""
    row = asdict(move)
    plan = move.plan
    shown = {name: row[name] for name in _FIELDS}
    shown |= {
        'status': move.status,
        'percent': percent(move),
        'zone': plan['zone'],
        'verbs': db_moves.allowed_verbs(move, is_admin=not call.context.is_for_own_project),
    }
    if call.context.is_for_own_project:
        return {**shown, 'error': None if move.error is None else _ASK}
    shown |= {name: row[name] for name in _POD_FIELDS}
    return shown | {name: plan[name] for name in ('source_pod', 'target_pod')}


def percent(move: Move) -> int:
    """Return the progress: of the bytes, which take most of the time, and of the steps."""
    if not move.is_active:
        return 100
    steps = move.steps_done / max(move.steps_total, 1)
    if not move.bytes_total or not move.is_forward:
        return int(100 * steps)
    return int(100 * (0.8 * min(move.bytes_done / move.bytes_total, 1.0) + 0.2 * steps))


def create_move(call: Call) -> Answer:
    """POST /moves: 202 with the move, or 200 with the plan of a dry run. 400, 404, 409, 422, 503."""
    given = schemas.CREATE.read(call)
    for pair in schemas.ALTERNATIVES:
        if sum(name in given for name in pair) != 1:
            raise exception.Unprocessable(f"Invalid input for field 'move': give either {pair[0]} or {pair[1]}.")
    resource_type = 'server' if 'server_id' in given else 'volume'
    pod_name = given.get('target_pod')
    if pod_name is not None and call.context.is_for_own_project:
        raise exception.Forbidden('Give the availability zone to move to, and no pod.')
    wanted = Wanted(
        resource_type,
        given[f'{resource_type}_id'],
        _pod_id(call, pod_name) if pod_name is not None else None,
        given.get('zone'),
        given.get('confirm_seconds'),
    )
    plan = _plan_of(call, wanted)
    shown = _plan_view(call, plan.json)
    if given.get('dry_run'):
        return Answer.of({'plan': shown})
    if plan.is_blocked:
        raise exception.Blocked(_blockers(resource_type, shown['findings']), shown['findings'])
    move = planner.submit(call.runtime, plan, call.context.user_id or '')
    call.runtime.registry.refresh()
    return Answer.of({'move': view(call, move)}, 202)


def _plan_of(call: Call, wanted: Wanted) -> Plan:
    """Plan a move for its caller. :raises: what ``make_plan`` does; for a project, without a pod in the text"""
    if not call.context.is_for_own_project:
        return planner.make_plan(call.runtime, wanted)
    routing = routings.get(call.runtime.db, wanted.resource_type, wanted.resource_id)
    if routing is None or routing.project_id != call.context.project_id:
        raise exception.NotFound(f'{wanted.resource_type.capitalize()} {wanted.resource_id} could not be found.')
    try:
        return planner.make_plan(call.runtime, wanted)
    except (exception.Conflict, exception.ServiceUnavailable) as error:
        instead = f'The {wanted.resource_type} cannot be moved to zone {wanted.zone} now. {_ASK}'
        raise type(error)(without_pods(call, error.message, instead)) from error


def without_pods(call: Call, text: str, instead: str = _ASK) -> str:
    """Return a text for operators, or another one if it names a pod."""
    pods = call.runtime.registry.snapshot().pods
    return instead if any(name in text for pod in pods for name in (pod.name, pod.id)) else text


def _blockers(resource_type: str, findings: list[Json]) -> str:
    texts = [
        f'{each["text"]} ({each["code"]}{": " + each["resource"] if each["resource"] else ""})'
        for each in findings
        if each['level'] == BLOCKER
    ]
    return f'The {resource_type} cannot be moved: {" ".join(texts)}'


def list_moves(call: Call) -> Answer:
    """GET /moves, the newest first: 200, 400."""
    query = schemas.LIST.read(call)
    filters = pagination.filters_of(query, 'active', 'status', 'pod_id')
    is_active = pagination.is_true(query, 'active') if 'active' in query else None
    if call.context.is_for_own_project:
        if any('pod_id' in each for each in (*query, query.get('sort', ''))):
            raise exception.Forbidden('Only operators list the moves of a pod.')
        own = call.context.project_id
        filters['project_id'] = own if filters.get('project_id', own) == own else []

    def list_(db: Database, **options: Any) -> list[Move]:
        status, pod_id = query.get('status'), query.get('pod_id')
        return db_moves.list_(db, is_active=is_active, status=status, pod_id=pod_id, **options)

    return pagination.read(
        call,
        'moves',
        query,
        list_,
        lambda move: view(call, move),
        filters=filters,
        default=(('created_at', 'desc'),),
    )


def show_move(call: Call) -> Answer:
    """GET /moves/{move_id}, with its plan and its ledger: 200, 404."""
    return Answer.of({'move': _complete(call, _existing(call))})


def _complete(call: Call, move: Move) -> Json:
    shown = {**view(call, move), 'plan': _plan_view(call, move.plan)}
    if not call.context.is_for_own_project:
        items = db_moves.items(call.runtime.db, move.id)
        shown['items'] = [asdict(item) for item in items]
        shown['lost'] = list(move.facts.get('lost') or ())
        if move.state == ABANDONED:
            shown['left'] = sweeping.described(move, items)
    return shown


def _plan_view(call: Call, plan: Json) -> Json:
    if not call.context.is_for_own_project:
        return plan
    findings = [{**each, 'text': without_pods(call, each['text'])} for each in plan['findings']]
    return {name: value for name, value in plan.items() if name in _OWN_PARTS} | {'findings': findings}


def pause_move(call: Call) -> Answer:
    """POST /moves/{move_id}/pause: 202, 404, 409, 422."""
    schemas.VERB.read(call)
    return _steer(call, db_moves.pause)


def resume_move(call: Call) -> Answer:
    """POST /moves/{move_id}/resume: 202, 404, 409, 422."""
    schemas.VERB.read(call)
    return _steer(call, db_moves.resume)


def cancel_move(call: Call) -> Answer:
    """POST /moves/{move_id}/cancel: 202, 404, 409, 422."""
    schemas.VERB.read(call)
    return _steer(call, db_moves.cancel)


def confirm_move(call: Call) -> Answer:
    """POST /moves/{move_id}/confirm: 202, 404, 409, 422."""
    is_forced = bool(schemas.CONFIRM.read(call).get('force'))
    if is_forced and call.context.is_for_own_project:
        raise exception.Forbidden(f'Only operators force a confirmation. {_ASK}')
    return _steer(call, partial(db_moves.confirm, is_forced=is_forced))


def revert_move(call: Call) -> Answer:
    """POST /moves/{move_id}/revert: 202, 404, 409, 422."""
    schemas.VERB.read(call)
    _check_revertible(call)
    return _steer(call, db_moves.revert)


def _check_revertible(call: Call) -> None:
    """:raises Conflict: something that owners did since the switch stops a revert half-way"""
    move = _existing(call)
    if 'revert' not in db_moves.allowed_verbs(move):
        return
    try:
        ending.check_revertible(work_on(call.runtime, move))
    except Unfit as error:
        raise exception.Conflict(f'Move {move.id} cannot be reverted: {error}') from error
    except (PodRefused, exception.PodError, exception.ServiceUnavailable) as error:
        # The job looks again before it changes anything.
        LOG.warning('Move %s is not checked before it is reverted: %s', move.id, error)


def abandon_move(call: Call) -> Answer:
    """POST /moves/{move_id}/abandon: 202, 404, 409, 422. Administrators only."""
    back = schemas.ABANDON.read(call).get('back')
    items = db_moves.items(call.runtime.db, call.id)

    def switches(move: Move) -> list[db_moves.Switch]:
        return ending.switches_back(call.runtime.db, items, move.facts)

    steered = _steer(call, partial(db_moves.abandon, back=switches if back else None))
    call.runtime.registry.refresh()
    move = _existing(call)
    for item in items:
        call.runtime.locator.forget(item.resource_type, item.top_id)
    return Answer.of({'move': _complete(call, move)}, steered.status)


def sweep_move(call: Call) -> Answer:
    """POST /moves/{move_id}/sweep: 202, 404, 409, 422. Administrators only."""
    schemas.VERB.read(call)
    return _steer(call, db_moves.sweep)


def _steer(call: Call, verb: Callable[[Database, str, JobRow], Move | None]) -> Answer:
    runtime = call.runtime
    move = _existing(call)
    job = planner.job_of(runtime, move)
    try:
        changed = verb(runtime.db, move.id, job)
    except db_moves.Refused as error:
        raise exception.Conflict(str(error)) from error
    if changed is None:
        raise _not_found(call.id)
    runtime.jobs.notify(Job(**job))
    return Answer.of({'move': view(call, changed)}, 202)


def _existing(call: Call) -> Move:
    """:raises NotFound: there is no such move, or the caller may not know of it"""
    move = db_moves.get(call.runtime.db, call.id)
    context = call.context
    if move is None or (context.is_for_own_project and move.project_id != context.project_id):
        raise _not_found(call.id)
    return move


def _pod_id(call: Call, name: str) -> str:
    """:raises Unprocessable: there is no such pod"""
    for pod in call.runtime.registry.refresh().pods:
        if name in (pod.name, pod.id):
            return pod.id
    raise exception.Unprocessable(f"Invalid input for field 'move.target_pod': there is no pod {name}")


def _not_found(move_id: str) -> exception.NotFound:
    return exception.NotFound(f'Move {move_id} could not be found.')
