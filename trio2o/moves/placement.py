# SPDX-License-Identifier: Apache-2.0
"""What places a server that moves: its server group and its scheduler hints.

A server group has a copy in each pod that has servers of the group, under an id of that pod
(``db/server_group_copies``). The server in the target is created with the id of the copy there, so tenants go on
seeing it in the same group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from trio2o import exception, job_types
from trio2o.db import routings, server_group_copies
from trio2o.db.database import Database, utcnow
from trio2o.db.records import ServerGroupCopy
from trio2o.moves.ledger import Unfit, Wait
from trio2o.moves.sites import Site
from trio2o.moves.step import Work
from trio2o.pods.podapi import PodApi, PodRefused
from trio2o.resources import SERVER, SERVER_GROUP, Item
from trio2o.routing import unanswered_copies
from trio2o.routing.unanswered_copies import definition_of
from trio2o.web import json_body

#: Since then a group has one policy, and rules.
GROUP_VERSION = '2.64'
AFFINITY, SOFT_AFFINITY = 'affinity', 'soft-affinity'
#: Hints that name a part of the source, or servers beside which the target has none.
_OF_POD = ('target_cell', 'different_cell', 'build_near_host_ip', 'cidr', 'same_host')
_GROUP, _OTHERS = 'group', 'different_host'
#: Seconds for making a copy of a group, and for holding a group in a pod, in case the worker dies.
_MAKE_SECONDS = _HOLD_SECONDS = 60.0
_GROUPS_PER_PAGE = 1000


@dataclass(frozen=True)
class Group:
    """The server group of a server.

    :ivar id: the id that tenants know
    :ivar original_pod_id: the pod that has the group under this id
    :ivar definition: name, policy and rules, as a create takes them
    :ivar others: ids of its servers in the source that are not moved, which tenants know
    """

    id: str
    original_pod_id: str
    project_id: str
    definition: Item
    others: tuple[str, ...] = ()

    @property
    def policy(self) -> str:
        return str(self.definition.get('policy'))


@dataclass(frozen=True)
class Placement:
    """What a server in the target is created with.

    :ivar group: its group; None: it has none, or the target can have no copy
    :ivar lost_group: id of a group that it leaves; '' if there is none
    :ivar hints: other hints, with the ids that servers have in the target
    :ivar left_out: hints that mean nothing in the target
    """

    group: Group | None = None
    lost_group: str = ''
    hints: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def kept_together(self) -> tuple[str, ...]:
        """Ids of the servers that may not stay behind."""
        return self.group.others if self.group is not None and self.group.policy == AFFINITY else ()


def read(
    db: Database, source: Site, target: Site, server: Item, project_id: str, together: Collection[str]
) -> Placement:
    """Read what places a server.

    :param server: as the source shows it
    :param project_id: owns the server
    :param together: ids of the servers that are moved at once, which tenants know
    """
    hints = {name: value for name, value in (server.get('scheduler_hints') or {}).items() if name != _GROUP}
    left_out = tuple(sorted(hints.keys() & set(_OF_POD)))
    kept = {name: _plain(value) for name, value in hints.items() if name not in _OF_POD}
    if _OTHERS in kept:
        kept[_OTHERS] = [_id_in(source, target, each) for each in _listed(kept[_OTHERS])]
    group = _read_group(db, source, server, project_id, together)
    if group is not None and (group.project_id != project_id or not target.compute.can(GROUP_VERSION)):
        return Placement(None, group.id, kept, left_out)
    return Placement(group, '', kept, left_out)


def _plain(value: Any) -> Any:
    """Return the value of a hint as a create takes it. Nova shows a list of one text for a text."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _listed(value: Any) -> list[str]:
    return [str(each) for each in (value if isinstance(value, list) else [value])]


def _id_in(source: Site, target: Site, bottom_id: str) -> str:
    """Return the id in the target of a server that the source names; one that is elsewhere keeps its own."""
    top_id = source.pod.ids_up.get(bottom_id, bottom_id)
    return target.pod.ids_down.get(top_id.lower(), top_id)


def _read_group(db: Database, source: Site, server: Item, project_id: str, together: Collection[str]) -> Group | None:
    bottom_id = next(iter(server.get('server_groups') or ()), None)
    if bottom_id is None:
        return None
    shown = json_body.at(source.compute.find(f'/os-server-groups/{bottom_id}', GROUP_VERSION), 'server_group')
    if shown is None:
        # It was deleted since the server was read.
        return None
    copy = server_group_copies.find_copies(db, source.pod.id, [bottom_id]).get(bottom_id)
    group_id = bottom_id if copy is None else copy[0]
    records = server_group_copies.list_for_group(db, group_id)
    original = records[0] if records and records[0].is_original else None
    return Group(
        group_id,
        source.pod.id if original is None else original.pod_id,
        SERVER_GROUP.owner_of(shown, project_id),
        definition_of(shown) if original is None else dict(original.definition or {}),
        tuple(each for each in _others(db, source, shown) if each not in together),
    )


def _others(db: Database, source: Site, group: Item) -> Iterator[str]:
    ids = [source.pod.ids_up.get(each, each) for each in group.get('members') or ()]
    known = routings.get_many(db, SERVER.type, ids)
    for each in ids:
        # One that has moved may not be deleted yet.
        if each not in known or known[each].pod_id == source.pod.id:
            yield each


def hints_of(work: Work, placement: Placement) -> dict[str, Any]:
    """Return the scheduler hints of the create of a server in the target. A copy of its group is made if needed.

    :raises Wait: the copy is being made, or its outcome is not known
    :raises Unfit: servers of a group with the policy of affinity would be in two pods
    """
    group = placement.group
    if group is None:
        return dict(placement.hints)
    if group.policy == AFFINITY and group.others:
        raise Unfit(
            f'Server group {group.id} keeps its servers in one pod, and has other servers in the source by now.'
        )
    bottom_id = _Copy(work, group).id_in_target()
    if group.policy == AFFINITY:
        hold_affinity(work, group.id, work.target)
    return {**placement.hints, **({_GROUP: bottom_id} if bottom_id else {})}


def hold_affinity(work: Work, group_id: str, site: Site) -> None:
    """Record the pod that has the servers of a group with the policy of affinity.

    :raises Wait: requests are creating servers of the group in another pod
    """
    db = work.runtime.db
    records = server_group_copies.list_for_group(db, group_id)
    if not records or not records[0].is_original:
        return
    is_held, _before = server_group_copies.hold(db, records[0].id, site.pod.id, _HOLD_SECONDS)
    if not is_held:
        raise Wait(f'requests that create servers in server group {group_id}')
    server_group_copies.release(db, records[0].id, site.pod.id)


class _Copy:
    """The copy of a group in the target. It has a record of its own instead of an item in the ledger, as it stays."""

    def __init__(self, work: Work, group: Group) -> None:
        self._work, self._group, self._db = work, group, work.runtime.db
        self._pod = work.target.pod

    @property
    def _api(self) -> PodApi:
        return self._work.target.tenant_compute

    def id_in_target(self) -> str | None:
        """Return the id in the target; None if the group is being deleted.

        :raises Wait: another request makes it
        """
        group = self._group
        if group.original_pod_id == self._pod.id:
            return group.id
        server_group_copies.record_original(
            self._db, group.id, group.original_pod_id, group.project_id, group.definition
        )
        copy, is_mine = server_group_copies.begin(
            self._db, group.id, self._pod.id, group.project_id, _MAKE_SECONDS, group.definition
        )
        if is_mine:
            return self._make(copy)
        if copy.state == 'deleting':
            return None
        if copy.bottom_id is None:
            raise Wait(f'another request, which makes a copy of server group {group.id}')
        if self._api.find(f'/os-server-groups/{copy.bottom_id}', GROUP_VERSION) is None:
            # It was deleted directly in the pod.
            server_group_copies.delete(self._db, copy.id)
            raise Wait(f'a copy of server group {group.id}')
        return copy.bottom_id

    def _make(self, copy: ServerGroupCopy) -> str | None:
        now: datetime = utcnow()
        was_tried = copy.busy_until is None or copy.busy_until <= now
        try:
            bottom_id = (self._find(copy) if was_tried else None) or self._create()
        except (PodRefused, exception.PodNotReached):
            server_group_copies.delete(self._db, copy.id)
            raise
        except exception.PodError:
            # The pod may have made it: the job, or the next try, finds out.
            server_group_copies.leave(self._db, copy.id)
            payload = {'pod_id': self._pod.id}
            self._work.runtime.jobs.submit(job_types.DELETE_SERVER_GROUP_COPIES, self._pod.id, payload)
            raise
        if not server_group_copies.record_made(self._db, copy.id, bottom_id):
            # The group was deleted meanwhile.
            self._api.send('DELETE', f'/os-server-groups/{bottom_id}', GROUP_VERSION)
            return None
        return bottom_id

    def _create(self) -> str:
        made = self._api.send('POST', '/os-server-groups', GROUP_VERSION, {'server_group': self._group.definition})
        return str(made.json['server_group']['id'])

    def _find(self, copy: ServerGroupCopy) -> str | None:
        """Return the id of a copy that the pod has made for an earlier request without an answer."""
        groups: list[Item] = []
        while True:
            path = f'/os-server-groups?limit={_GROUPS_PER_PAGE}&offset={len(groups)}'
            page = json_body.objects_at(self._api.get_list(path, GROUP_VERSION), 'server_groups')
            groups += page
            if len(page) < _GROUPS_PER_PAGE:
                return unanswered_copies.find(self._db, [copy], groups).get(copy.id)


def differences(work: Work, before: Placement, after: Item) -> Iterator[str]:
    """Name the server group and the hints that the server in the target should have and has not.

    :param after: the server as the target shows it
    """
    if 'server_groups' in after:
        wanted = {before.group.id} if before.group is not None else set()
        ids = [str(each) for each in after['server_groups'] or ()]
        copies = server_group_copies.find_copies(work.runtime.db, work.target.pod.id, ids)
        found = {copies[each][0] if each in copies else each for each in ids}
        if found != wanted:
            yield f'server {after["id"]}: server_groups should be {sorted(wanted)} and are {sorted(found)}'
    if 'scheduler_hints' in after:
        shown = {name: _listed(value) for name, value in (after['scheduler_hints'] or {}).items() if name != _GROUP}
        expected = {name: _listed(value) for name, value in before.hints.items()}
        if shown != expected:
            yield f'server {after["id"]}: scheduler_hints should be {expected} and are {shown}'
