# SPDX-License-Identifier: Apache-2.0
"""Make a group and its members of what an operator or a project orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oslo_utils import uuidutils

from trio2o import exception, job_types
from trio2o.context import current_request_id
from trio2o.db import move_groups
from trio2o.db.database import utcnow
from trio2o.db.jobs import JobRow
from trio2o.db.move_groups import NewMember
from trio2o.db.records import APPLICATION, DRAIN, RUNNING, Job, MoveGroup, Routing
from trio2o.moves.groups.options import Options

if TYPE_CHECKING:
    from trio2o.runtime import Runtime


@dataclass(frozen=True)
class Order:
    """What is to be moved where, and how.

    :ivar zone: of a drain and of an application without ``targets``, the zone to move to; of a rebalancing, its zone
    :ivar targets: ids of the pods to move to; empty: those of ``zone``
    """

    kind: str
    name: str
    project_id: str
    user_id: str
    zone: str
    targets: tuple[str, ...]
    source_pod_id: str | None
    options: Options


def group_of(order: Order) -> MoveGroup:
    """Make the record of a group, which is not stored."""
    now = utcnow()
    return MoveGroup(
        id=uuidutils.generate_uuid(),
        kind=order.kind,
        name=order.name,
        project_id=order.project_id,
        user_id=order.user_id,
        source_pod_id=order.source_pod_id,
        zone=order.zone,
        targets=list(order.targets),
        options=order.options.to_json(),
        state=RUNNING,
        hold='',
        wish='',
        reason=None,
        active_key=f'{DRAIN}:{order.source_pod_id}' if order.kind == DRAIN else None,
        next_start_at=None,
        confirm_at=None,
        percent=0,
        bytes_done=0,
        bytes_total=0,
        request_id=current_request_id(),
        created_at=now,
        updated_at=now,
        ended_at=None,
    )


def members_of(runtime: Runtime, order: Order, routings: Sequence[Routing]) -> list[NewMember]:
    """Make the members of resources that are moved in this order, without those that are there already.

    :raises BadRequest: all of them are
    """
    snapshot = runtime.registry.snapshot()
    left = []
    for routing in routings:
        pod = snapshot.by_id.get(routing.pod_id)
        is_there = routing.pod_id in order.targets if order.targets else pod is not None and pod.zone == order.zone
        if not is_there:
            left.append(routing)
    if not left:
        raise exception.BadRequest('All of these servers and volumes are already there.')
    return [
        NewMember(at, at, order.options.wave_of(at), routing.resource_type, routing.top_id, routing.project_id)
        for at, routing in enumerate(left)
    ]


def submit(runtime: Runtime, group: MoveGroup, members: Sequence[NewMember]) -> MoveGroup:
    """Begin a group.

    :raises Conflict: another drain of the pod has not ended
    """
    job = job_of(runtime, group.id)
    try:
        move_groups.create(runtime.db, group, members, job)
    except move_groups.AlreadyDraining as error:
        raise exception.Conflict(
            'A drain of the pod is under way' + (f' (move group {error.group_id}).' if error.group_id else '.')
        ) from error
    runtime.jobs.notify(Job(**job))
    return group


def job_of(runtime: Runtime, group_id: str) -> JobRow:
    """Make the row of the job that goes on with a group; ``notify`` after it is submitted."""
    return runtime.jobs.row(job_types.RUN_MOVE_GROUP, group_id, {'group_id': group_id})


def default_options(kind: str, confirm_seconds: int) -> Options:
    """Return the options of a kind of group."""
    if kind == APPLICATION:
        return Options('stop', 0, 1, 0, 0, 0, '', confirm_seconds)
    return Options('continue', 3, 4, 1, 0, 0, '', confirm_seconds)
