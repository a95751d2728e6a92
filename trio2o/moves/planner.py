# SPDX-License-Identifier: Apache-2.0
"""Plan a move: what would be made where, how many bytes are copied, and what speaks against it.

A dry run and a move use the same plan. A move stores it once, and its steps are those of the stored plan.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from oslo_utils import uuidutils

from trio2o import exception, job_types
from trio2o.context import current_request_id
from trio2o.db import moves as db_moves
from trio2o.db import routings
from trio2o.db.database import utcnow
from trio2o.db.jobs import JobRow
from trio2o.db.move_groups import FollowedMove
from trio2o.db.moves import NewItem, Start
from trio2o.db.records import ABANDONED, PLANNED, Job, Move, Routing
from trio2o.moves import checks, copying, placement, ports, steps
from trio2o.moves.checks import BLOCKER, Finding
from trio2o.moves.placement import Placement
from trio2o.moves.sites import Site, site_of
from trio2o.moves.source import NoSuchResource, Source, place_of, read_server, read_volume
from trio2o.pods.podapi import PodRefused
from trio2o.pods.registry import PodView
from trio2o.resources import SERVER, VOLUME, Item
from trio2o.scheduler.spec import SPEC_PREFIX, PodRequest

if TYPE_CHECKING:
    from trio2o.runtime import Runtime

LOG = logging.getLogger(__name__)

#: Seconds that the steps take which copy nothing.
_OTHER_SECONDS = 60
#: Pods that are planned for until one has no blocker.
_MOST_TARGETS = 3
_MOVABLE = {SERVER.type: SERVER, VOLUME.type: VOLUME}


@dataclass(frozen=True)
class Wanted:
    """What is to be moved where.

    :ivar resource_type: ``server`` or ``volume``; ``resource_id``: the id that tenants see
    :ivar target_pod_id: None: the pod that the scheduler prefers among ``target_pod_ids``, or in ``zone``
    :ivar confirm_seconds: None: that of the configuration
    :ivar host: the host of the target pod for a server that an administrator migrates with Nova's own action; ''
        otherwise
    :ivar confirms_itself: False: the move waits for its group, or for an operator
    :ivar group_id: of the group that the move belongs to
    """

    resource_type: str
    resource_id: str
    target_pod_id: str | None = None
    zone: str | None = None
    confirm_seconds: int | None = None
    host: str = ''
    target_pod_ids: tuple[str, ...] = ()
    confirms_itself: bool = True
    group_id: str | None = None


class AttachedTo(exception.Conflict):
    """A volume is attached to a server, with which it moves.

    :ivar server_id: the id that tenants see
    """

    def __init__(self, volume_id: str, server_id: str) -> None:
        super().__init__(
            f'Volume {volume_id} is attached to server {server_id}: move the server, and its volumes move with it.'
        )
        self.server_id = server_id


class AlreadyThere(exception.BadRequest):
    """The resource is where it is to be moved to."""


@dataclass(frozen=True)
class Plan:
    """A plan.

    :ivar json: the plan as it is stored and shown
    :ivar items: the ledger of the move
    """

    wanted: Wanted
    project_id: str
    name: str
    source_pod: PodView
    target_pod: PodView
    findings: tuple[Finding, ...]
    items: tuple[NewItem, ...]
    bytes: int
    json: dict[str, Any]

    @property
    def is_blocked(self) -> bool:
        return any(finding.level == BLOCKER for finding in self.findings)


def make_plan(runtime: Runtime, wanted: Wanted) -> Plan:
    """Plan a move. Nothing is changed.

    :raises NoSuchResource: there is no such resource
    :raises NotFound: there is no such pod or zone
    :raises AlreadyThere: the resource is in the target already
    :raises BadRequest: the resource is of a type that does not move
    :raises AttachedTo: a volume is attached to a server
    :raises Conflict: no pod can take the resource
    :raises ServiceUnavailable: one of the pods cannot be asked
    """
    routing = _routing(runtime, wanted)
    source_site = site_of(runtime, routing.pod_id, routing.project_id)
    try:
        source = _read(source_site, wanted, routing)
        source_ports = _read_ports(source_site, source)
        plans = (
            _plan_to(runtime, wanted, source, source_site, source_ports, target)
            for target in _targets(runtime, wanted, routing, source)
        )
        first = next(plans)
        # Another pod may have the flavor, or enough quota.
        return first if not first.is_blocked else next((plan for plan in plans if not plan.is_blocked), first)
    except PodRefused as error:
        raise exception.ServiceUnavailable(f'The move cannot be planned: {error}') from error
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        LOG.exception('Failed to plan a move of %s %s', wanted.resource_type, wanted.resource_id)
        raise exception.ServiceUnavailable(
            'The move cannot be planned: a pod answered what no service does.'
        ) from error


def submit(runtime: Runtime, plan: Plan, user_id: str, start: Start | None = None) -> Move:
    """Begin a move.

    :param user_id: who wants it
    :param start: of a move of a group
    :raises NotWaiting: a member does not wait any more
    :raises NoRoom: the limits or the state of the group allow no further move now
    :raises Conflict: another move of one of the resources has not ended
    """
    wanted, now = plan.wanted, utcnow()
    seconds = wanted.confirm_seconds
    move = Move(
        id=uuidutils.generate_uuid(),
        project_id=plan.project_id,
        user_id=user_id,
        resource_type=wanted.resource_type,
        resource_id=wanted.resource_id,
        name=plan.name[:255],
        source_pod_id=plan.source_pod.id,
        target_pod_id=plan.target_pod.id,
        state=PLANNED,
        is_forward=True,
        hold='',
        wish='',
        step=None,
        steps_done=0,
        steps_total=len(plan.json['steps']),
        bytes_done=0,
        bytes_total=plan.bytes,
        plan=plan.json,
        facts={},
        error=None,
        confirm_seconds=runtime.conf.moves.confirm_seconds if seconds is None else seconds,
        confirm_at=None,
        request_id=current_request_id(),
        created_at=now,
        updated_at=now,
        ended_at=None,
        group_id=wanted.group_id,
    )
    job = job_of(runtime, move)
    try:
        made = db_moves.create(runtime.db, move, plan.items, job, start)
    except db_moves.AlreadyMoving as error:
        raise exception.Conflict(
            f'{wanted.resource_type.capitalize()} {wanted.resource_id} is being moved already'
            + (f' (move {error.move_id}).' if error.move_id else '.')
        ) from error
    runtime.jobs.notify(Job(**job))
    return made


def job_of(runtime: Runtime, move: Move | FollowedMove) -> JobRow:
    """Make the row of the job that goes on with a move; ``notify`` after it is submitted."""
    return runtime.jobs.row(job_types.RUN_MOVE, move.id, {'move_id': move.id, 'pod_id': move.source_pod_id})


def _routing(runtime: Runtime, wanted: Wanted) -> Routing:
    if wanted.resource_type not in _MOVABLE:
        raise exception.BadRequest(f'A {wanted.resource_type} does not move.')
    routing = routings.get(runtime.db, wanted.resource_type, wanted.resource_id)
    if routing is None or not routing.is_live:
        raise NoSuchResource(f'{wanted.resource_type.capitalize()} {wanted.resource_id} could not be found.')
    return routing


def _read(site: Site, wanted: Wanted, routing: Routing) -> Source:
    if wanted.resource_type == SERVER.type:
        return read_server(site, routing.top_id, routing.bottom_id)
    source = read_volume(site, routing.top_id, routing.bottom_id)
    attachments = source.disks[0].volume.get('attachments') or ()
    servers = [attachment.get('server_id') for attachment in attachments]
    if servers:
        raise AttachedTo(routing.top_id, site.pod.ids_up.get(servers[0], servers[0]))
    return source


def _read_ports(site: Site, source: Source) -> list[Item] | None:
    return ports.read(site, source) if source.interfaces and site.network is not None else None


def _targets(runtime: Runtime, wanted: Wanted, routing: Routing, source: Source) -> Sequence[PodView]:
    """Return the pods that the resource may be moved to, the best first; at most ``_MOST_TARGETS``."""
    snapshot = runtime.registry.snapshot()
    if wanted.target_pod_id is None:
        return _best(runtime, wanted, routing, source)
    pod = snapshot.by_id.get(wanted.target_pod_id)
    if pod is None:
        raise exception.NotFound(f'Pod {wanted.target_pod_id} could not be found.')
    if pod.id == routing.pod_id:
        raise AlreadyThere(f'The {wanted.resource_type} is already there.')
    return [pod]


def _best(runtime: Runtime, wanted: Wanted, routing: Routing, source: Source) -> Sequence[PodView]:
    zone, snapshot = wanted.zone or '', runtime.registry.snapshot()
    if not wanted.target_pod_ids and zone not in snapshot.by_zone:
        raise exception.NotFound(f'Availability zone {zone} could not be found.')
    if routing.pod_id in wanted.target_pod_ids:
        raise AlreadyThere(f'The {wanted.resource_type} is already there.')
    flavor = source.flavor
    specs = {name: value for name, value in (flavor.get('extra_specs') or {}).items() if name.startswith(SPEC_PREFIX)}
    resources = {'gigabytes': sum(int(disk.volume['size']) for disk in source.disks)}
    if source.server is not None:
        resources = {'VCPU': int(flavor.get('vcpus') or 0), 'MEMORY_MB': int(flavor.get('ram') or 0)}
    request = PodRequest(
        service=_MOVABLE[wanted.resource_type].service,
        project_id=routing.project_id,
        zone='' if wanted.target_pod_ids else zone,
        tried=frozenset({routing.pod_id}),
        resources=resources,
        extra_specs=specs,
        resource_type=wanted.resource_type,
    )
    decision = runtime.scheduler.decide(request, of_all=bool(wanted.target_pod_ids))
    allowed = wanted.target_pod_ids
    others = [pod for pod in decision.pods if pod.id != routing.pod_id and (not allowed or pod.id in allowed)]
    if not others:
        where = f'zone {zone}' if not allowed else 'the target pods'
        raise exception.Conflict(f'No pod of {where} can take the {wanted.resource_type}: {decision}')
    return others[:_MOST_TARGETS]


def _plan_to(
    runtime: Runtime,
    wanted: Wanted,
    source: Source,
    source_site: Site,
    source_ports: list[Item] | None,
    target: PodView,
) -> Plan:
    target_site = site_of(runtime, target.id, source.project_id)
    promised = [each for plan in db_moves.plans_to(runtime.db, target.id) for each in plan['requested']]
    room = runtime.scheduler.room
    placed = Placement()
    if source.server is not None:
        placed = placement.read(runtime.db, source_site, target_site, source.server, source.project_id)
    look = checks.Inspection(source_site, target_site, source, source_ports, room, promised, placed)
    findings = [*_not_restored(runtime, wanted), *checks.find_all(look)]
    return _plan(runtime, wanted, look, findings)


def _not_restored(runtime: Runtime, wanted: Wanted) -> Iterator[Finding]:
    """See that the server has got back what an abandoned move took from it."""
    filters = {'resource_type': wanted.resource_type, 'resource_id': wanted.resource_id}
    for move in db_moves.list_(runtime.db, filters=filters, status=ABANDONED):
        if move.ended_at is None and not move.is_forward and not move.facts.get('is_restored'):
            text = f'Move {move.id} was abandoned and has not given it back its ports and power state yet: sweep it.'
            yield Finding(BLOCKER, 'not_restored', text, wanted.resource_id)


def _plan(
    runtime: Runtime,
    wanted: Wanted,
    look: checks.Inspection,
    findings: list[Finding],
) -> Plan:
    source, source_site, target_site = look.source, look.source_site, look.target_site
    items = [
        *_resources(wanted, source, source_site, target_site),
        *copying.items(source, source_site, target_site),
        *_others(source, target_site),
    ]
    disks = [
        {
            'id': disk.top_id,
            'name': disk.volume.get('name') or '',
            'size': disk.volume['size'],
            'is_boot': disk.is_boot,
            'is_attached': bool(disk.attachment),
            'delete_on_termination': bool(disk.attachment.get('delete_on_termination')),
        }
        for disk in source.disks
    ]
    bytes_ = copying.bytes_of(source, runtime.conf.moves.verify_volumes)
    json: dict[str, Any] = {
        'resource_type': wanted.resource_type,
        'resource_id': wanted.resource_id,
        'name': source.name,
        'project_id': source.project_id,
        'source_pod': source_site.pod.name,
        'target_pod': target_site.pod.name,
        'zone': target_site.pod.zone,
        'channel': copying.NAME,
        'host': wanted.host,
        'confirms_itself': wanted.confirms_itself,
        'bytes': bytes_,
        'seconds': int(bytes_ / runtime.conf.moves.bytes_per_second) + _OTHER_SECONDS,
        'findings': [asdict(finding) for finding in findings],
        'has_local_root': source.has_local_root,
        'is_verified': runtime.conf.moves.verify_volumes,
        'volumes': disks,
        'ports': [port['id'] for port in look.ports or ()],
        'requested': look.requested,
        'makes': [
            {'key': item.key, 'pod_id': item.pod_id, 'type': item.resource_type, 'name': item.name}
            for item in items
            if not item.bottom_id
        ],
    }
    json['steps'] = [step.name for step in steps.of_plan(json)]
    return Plan(
        wanted,
        source.project_id,
        source.name,
        source_site.pod,
        target_site.pod,
        tuple(findings),
        tuple(items),
        bytes_,
        json,
    )


def _resources(wanted: Wanted, source: Source, source_site: Site, target_site: Site) -> list[NewItem]:
    """Return the resources that tenants know: in the source, and those that take their place in the target."""
    found = []
    if source.server is not None:
        bottom_id, name = str(source.server['id']), source.name
        host, node = place_of(source.server)
        found.append(
            NewItem(
                'source/server',
                source_site.pod.id,
                'server',
                name,
                source.top_id,
                bottom_id,
                'confirmed',
                is_resource=True,
                host=host,
                node=node,
            )
        )
    for disk in source.disks:
        name = str(disk.volume.get('name') or '')
        key, bottom_id = f'source/volume/{disk.top_id}', disk.bottom_id
        found.append(NewItem(key, source_site.pod.id, 'volume', name, disk.top_id, bottom_id, 'confirmed', True))
        key = f'target/volume/{disk.top_id}'
        found.append(NewItem(key, target_site.pod.id, 'volume', name, disk.top_id, '', 'reverted'))
    if source.server is not None:
        pod_id = target_site.pod.id
        key, host = 'target/server', wanted.host or None
        found.append(NewItem(key, pod_id, 'server', source.name, source.top_id, delete_on='reverted', host=host))
    return found


def _others(source: Source, target_site: Site) -> list[NewItem]:
    if source.server is None or not source.server.get('key_name'):
        return []
    return [NewItem('target/keypair', target_site.pod.id, 'keypair', '', delete_on='confirmed,reverted')]
