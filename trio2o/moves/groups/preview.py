# SPDX-License-Identifier: Apache-2.0
"""Plan the members of a group for a dry run, and before an application begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from trio2o import exception
from trio2o.concurrency import Deadline
from trio2o.db.move_groups import NewMember
from trio2o.db.records import APPLICATION, MoveGroup
from trio2o.moves import planner
from trio2o.moves.checks import BLOCKER, Finding
from trio2o.moves.groups.conductor import CANNOT_ASK
from trio2o.moves.groups.parts import plan_part
from trio2o.resources import SERVER, VOLUME

if TYPE_CHECKING:
    from trio2o.runtime import Runtime

Json = dict[str, Any]

#: Members that one request plans, and the seconds after which it begins no further plan: each takes some calls.
MOST, _SECONDS = 50, 40.0


def plan(runtime: Runtime, group: MoveGroup, members: Sequence[NewMember], total: int) -> Json:
    """Plan the members of a group.

    :param members: in their order
    :param total: number of all members
    :returns: ``kind``; ``members``: a row for each member that was planned; ``bytes`` and ``seconds``: sums over them;
        ``counts``: members that can be moved, and those that are refused; ``is_complete``: whether these are all
    :raises ServiceUnavailable: a pod of an application cannot be asked; in other groups that is a blocker
    :raises PodError: likewise
    """
    deadline = Deadline(_SECONDS)
    rows: list[Json] = []
    servers = {member.resource_id: member for member in members if member.resource_type == SERVER.type}
    together: set[tuple[str, str]] = set()
    planned = 0
    for member in members[:MOST]:
        if deadline.is_over():
            break
        planned += 1
        if (member.resource_type, member.resource_id) in together:
            # It moves with its server, or with one that it shares a volume with.
            continue
        row = _row(runtime, group, member, servers)
        if row is None:
            continue
        together.update(row.pop('together'))
        rows.append(row)
    refused = [row for row in rows if _is_blocked(row)]
    return {
        'kind': group.kind,
        'members': rows,
        'bytes': sum(row['bytes'] for row in rows if row not in refused),
        'seconds': sum(row['seconds'] for row in rows if row not in refused),
        'counts': {'movable': len(rows) - len(refused), 'refused': len(refused), 'total': total},
        'is_complete': planned == total,
    }


def refusals(plan_: Json) -> list[Json]:
    """Return the blockers of all members of a plan, each with the id of its member as ``resource`` if it has none."""
    return [
        {**finding, 'resource': finding['resource'] or row['resource_id']}
        for row in plan_['members']
        for finding in row['findings']
        if finding['level'] == BLOCKER
    ]


def _is_blocked(row: Json) -> bool:
    return any(finding['level'] == BLOCKER for finding in row['findings'])


def _row(runtime: Runtime, group: MoveGroup, member: NewMember, servers: Mapping[str, NewMember]) -> Json | None:
    """:returns: None if the member is a volume of one of the servers, with which it moves"""
    found: Json = {
        'resource_type': member.resource_type,
        'resource_id': member.resource_id,
        'project_id': member.project_id,
        'wave': member.wave,
    }
    try:
        made, _members = plan_part(runtime, group, [member], servers.get)
    except exception.Trio2oException as error:
        if isinstance(error, planner.AttachedTo) and error.server_id in servers:
            return None
        if group.kind == APPLICATION and isinstance(error, CANNOT_ASK):
            raise
        finding = asdict(Finding(BLOCKER, 'plan', str(error), member.resource_id))
        return {
            **found,
            'name': member.name,
            'target_pod': '',
            'bytes': 0,
            'seconds': 0,
            'findings': [finding],
            'together': [],
        }
    return {
        **found,
        'name': made.name,
        'target_pod': made.target_pod.name,
        'bytes': made.bytes,
        'seconds': made.json['seconds'],
        'findings': made.json['findings'],
        'together': [
            *((SERVER.type, server['id']) for server in made.json['servers']),
            *((VOLUME.type, disk['id']) for disk in made.json['volumes']),
        ],
    }
