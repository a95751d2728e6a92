# SPDX-License-Identifier: Apache-2.0
"""Parts of a group: servers that can only move together, as they share volumes or an affinity, are one move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from trio2o import exception
from trio2o.db.move_groups import NewMember
from trio2o.db.records import APPLICATION, MoveGroup, MoveGroupMember
from trio2o.moves import planner
from trio2o.moves.groups.options import Options
from trio2o.moves.planner import Plan, Wanted
from trio2o.resources import SERVER

if TYPE_CHECKING:
    from trio2o.runtime import Runtime

#: Servers of one move. All of them are stopped until the disks of all are copied.
MOST_SERVERS = 20

AnyMember = TypeVar('AnyMember', NewMember, MoveGroupMember)


def plan_part(
    runtime: Runtime,
    group: MoveGroup,
    members: Sequence[AnyMember],
    find: Callable[[str], AnyMember | None],
) -> tuple[Plan, list[AnyMember]]:
    """Plan the move of members, and of all members that can only move with them.

    :param members: those that are known to move together; volumes are in the plan of their server
    :param find: returns a further member by the id of its server; None if it is none, or does not wait
    :returns: the plan, and its members. A server that would have to move, too, but is not found, is a blocker
    :raises Conflict: there are more than ``MOST_SERVERS``
    :raises: what ``make_plan`` does
    """
    found = list(members)
    while True:
        plan = planner.make_plan(runtime, wanted(group, found))
        known = {member.resource_id for member in found}
        more = [find(server_id) for server_id in plan.inseparable if server_id not in known]
        others = [member for member in more if member is not None]
        if not others or len(others) < len(more):
            return plan, found
        found += others
        if len(found) > MOST_SERVERS:
            text = f'More than {MOST_SERVERS} servers can only move together, which is the most of one move.'
            raise exception.Conflict(f'{text} Detach the volumes that they share, or take them out of their group.')


def wanted(group: MoveGroup, members: Sequence[AnyMember]) -> Wanted:
    """Return what the planner is to plan for members that are moved by one move."""
    options = Options.from_json(group.options)
    first, *others = members
    return Wanted(
        first.resource_type,
        first.resource_id,
        first.target_pod_id,
        group.zone or None,
        options.confirm_seconds,
        target_pod_ids=tuple(group.targets),
        also=tuple(member.resource_id for member in others if member.resource_type == SERVER.type),
        confirms_itself=group.kind != APPLICATION,
        group_id=group.id,
    )
