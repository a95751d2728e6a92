# SPDX-License-Identifier: Apache-2.0
"""Plan a move: what would be made where, how many bytes are copied, and what speaks against it.

A dry run and a move use the same plan. A move stores it once, and its steps are those of the stored plan.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from trio2o.moves.sites import Site, site_of
from trio2o.moves.source import NoSuchResource, Source, disks_of, place_of, read_server, read_volume
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
    :ivar also: ids of further servers, which share volumes with the server and are moved with it
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
    also: tuple[str, ...] = ()
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


class AlreadyMoving(exception.Conflict):
    """Another move of one of the resources has not ended."""


@dataclass(frozen=True)
class Plan:
    """A plan.

    :ivar json: the plan as it is stored and shown
    :ivar items: the ledger of the move
    :ivar inseparable: ids of servers that would have to move, too, and are not in the plan, which is a blocker
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
    inseparable: tuple[str, ...] = ()

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
        sources = [_read(source_site, wanted, routing), *_read_others(runtime, source_site, wanted, routing)]
        source_ports = _read_ports(source_site, sources)
        plans = (
            _plan_to(runtime, wanted, sources, source_site, source_ports, target)
            for target in _targets(runtime, wanted, routing, sources)
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
    :raises AlreadyMoving: another move of one of the resources has not ended
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
        raise AlreadyMoving(
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
        raise NoSuchResource(
            f'{wanted.resource_type.capitalize()} {wanted.resource_id} could not be found.', wanted.resource_id
        )
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


def _read_others(runtime: Runtime, site: Site, wanted: Wanted, routing: Routing) -> Iterator[Source]:
    for server_id in wanted.also:
        other = routings.get(runtime.db, SERVER.type, server_id)
        if other is None or not other.is_live:
            raise NoSuchResource(f'Instance {server_id} could not be found.', server_id)
        if (other.pod_id, other.project_id) != (routing.pod_id, routing.project_id):
            raise exception.Conflict(f'Server {server_id} is in another pod or project than {routing.top_id}.')
        yield read_server(site, other.top_id, other.bottom_id)


def _read_ports(site: Site, sources: Sequence[Source]) -> dict[str, list[Item]]:
    if site.network is None:
        return {}
    return {source.top_id: ports.read(site, source) for source in sources if source.interfaces}


def _targets(runtime: Runtime, wanted: Wanted, routing: Routing, sources: Sequence[Source]) -> Sequence[PodView]:
    """Return the pods that the resource may be moved to, the best first; at most ``_MOST_TARGETS``."""
    snapshot = runtime.registry.snapshot()
    if wanted.target_pod_id is None:
        return _best(runtime, wanted, routing, sources)
    pod = snapshot.by_id.get(wanted.target_pod_id)
    if pod is None:
        raise exception.NotFound(f'Pod {wanted.target_pod_id} could not be found.')
    if pod.id == routing.pod_id:
        raise AlreadyThere(f'The {wanted.resource_type} is already there.')
    return [pod]


def _best(runtime: Runtime, wanted: Wanted, routing: Routing, sources: Sequence[Source]) -> Sequence[PodView]:
    zone, snapshot = wanted.zone or '', runtime.registry.snapshot()
    if not wanted.target_pod_ids and zone not in snapshot.by_zone:
        raise exception.NotFound(f'Availability zone {zone} could not be found.')
    if routing.pod_id in wanted.target_pod_ids:
        raise AlreadyThere(f'The {wanted.resource_type} is already there.')
    flavors = [source.flavor for source in sources if source.server is not None]
    given = [flavor.get('extra_specs') or {} for flavor in flavors]
    specs = {name: value for each in given for name, value in each.items() if name.startswith(SPEC_PREFIX)}
    resources = {'gigabytes': sum(int(disk.volume['size']) for disk in disks_of(sources))}
    if flavors:
        resources = {
            'VCPU': sum(int(flavor.get('vcpus') or 0) for flavor in flavors),
            'MEMORY_MB': sum(int(flavor.get('ram') or 0) for flavor in flavors),
        }
    request = PodRequest(
        service=_MOVABLE[wanted.resource_type].service,
        project_id=routing.project_id,
        zone='' if wanted.target_pod_ids else zone,
        tried=frozenset({routing.pod_id}),
        resources=resources,
        count=len(sources),
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
    sources: Sequence[Source],
    source_site: Site,
    source_ports: Mapping[str, list[Item]],
    target: PodView,
) -> Plan:
    project_id = sources[0].project_id
    target_site = site_of(runtime, target.id, project_id)
    promised = [each for plan in db_moves.plans_to(runtime.db, target.id) for each in plan['requested']]
    room = runtime.scheduler.room
    together = [source.top_id for source in sources]
    placements = {
        source.top_id: placement.read(runtime.db, source_site, target_site, source.server, project_id, together)
        for source in sources
        if source.server is not None
    }
    look = checks.Inspection(source_site, target_site, sources, source_ports, room, promised, placements)
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
    sources, source_site, target_site = look.sources, look.source_site, look.target_site
    items = [
        *_resources(wanted, sources, source_site, target_site),
        *copying.items(sources, source_site, target_site),
        *_key_pairs(sources, target_site),
    ]
    disks = [
        {
            'id': disk.top_id,
            'name': disk.volume.get('name') or '',
            'size': disk.volume['size'],
            'attachments': _attachments(sources, disk.top_id),
        }
        for disk in look.disks
    ]
    bytes_ = copying.bytes_of(sources, runtime.conf.moves.verify_volumes)
    json: dict[str, Any] = {
        'resource_type': wanted.resource_type,
        'resource_id': wanted.resource_id,
        'name': sources[0].name,
        'project_id': look.project_id,
        'source_pod': source_site.pod.name,
        'target_pod': target_site.pod.name,
        'zone': target_site.pod.zone,
        'channel': copying.NAME,
        'host': wanted.host,
        'confirms_itself': wanted.confirms_itself,
        'bytes': bytes_,
        'seconds': int(bytes_ / runtime.conf.moves.bytes_per_second) + _OTHER_SECONDS,
        'findings': [asdict(finding) for finding in findings],
        'is_verified': runtime.conf.moves.verify_volumes,
        'servers': [
            {
                'id': source.top_id,
                'name': source.name,
                'has_local_root': source.has_local_root,
                'ports': [port['id'] for port in look.ports.get(source.top_id, ())],
            }
            for source in sources
            if source.server is not None
        ],
        'volumes': disks,
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
        look.project_id,
        sources[0].name,
        source_site.pod,
        target_site.pod,
        tuple(findings),
        tuple(items),
        bytes_,
        json,
        _inseparable(look),
    )


def _attachments(sources: Iterable[Source], disk_id: str) -> list[dict[str, Any]]:
    return [
        {
            'server_id': source.top_id,
            'is_boot': disk.is_boot,
            'delete_on_termination': bool(disk.attachment.get('delete_on_termination')),
        }
        for source in sources
        for disk in source.disks
        if disk.top_id == disk_id and source.server is not None
    ]


def _inseparable(look: checks.Inspection) -> tuple[str, ...]:
    ids_up = look.source_site.pod.ids_up
    by_disks = [ids_up.get(each, each) for disk in look.disks for each in look.other_servers(disk)]
    by_groups = [each for placed in look.placements.values() for each in placed.kept_together]
    return tuple(dict.fromkeys([*by_disks, *by_groups]))


def _resources(wanted: Wanted, sources: Sequence[Source], source_site: Site, target_site: Site) -> list[NewItem]:
    """Return the resources that tenants know: in the source, and those that take their place in the target."""
    found = []
    servers = [source for source in sources if source.server is not None]
    for source in servers:
        assert source.server is not None
        bottom_id, name = str(source.server['id']), source.name
        host, node = place_of(source.server)
        found.append(
            NewItem(
                f'source/server/{source.top_id}',
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
    for disk in disks_of(sources):
        name = str(disk.volume.get('name') or '')
        key, bottom_id = f'source/volume/{disk.top_id}', disk.bottom_id
        found.append(NewItem(key, source_site.pod.id, 'volume', name, disk.top_id, bottom_id, 'confirmed', True))
        key = f'target/volume/{disk.top_id}'
        found.append(NewItem(key, target_site.pod.id, 'volume', name, disk.top_id, '', 'reverted'))
    for source in servers:
        pod_id = target_site.pod.id
        key, host = f'target/server/{source.top_id}', wanted.host or None
        found.append(NewItem(key, pod_id, 'server', source.name, source.top_id, delete_on='reverted', host=host))
    return found


def _key_pairs(sources: Iterable[Source], target_site: Site) -> list[NewItem]:
    pod_id = target_site.pod.id
    return [
        NewItem(f'target/keypair/{source.top_id}', pod_id, 'keypair', '', delete_on='confirmed,reverted')
        for source in sources
        if source.server is not None and source.server.get('key_name')
    ]
