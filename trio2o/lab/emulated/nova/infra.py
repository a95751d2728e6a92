# SPDX-License-Identifier: Apache-2.0
"""What admins see of a pod: zones, services, hypervisors, aggregates, migrations, usage."""

import hashlib
import uuid
from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import paging, wire
from trio2o.lab.emulated.clock import micro, parse_time
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova


def _uuid(*words: str) -> str:
    return str(uuid.UUID(hashlib.md5('/'.join(words).encode(), usedforsecurity=False).hexdigest()))


def list_zones(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-availability-zone."""
    return wire.reply({'availabilityZoneInfo': [
        {'zoneName': zone, 'zoneState': {'available': True}, 'hosts': None}
        for zone in nova.settings.zones]})


def list_zone_details(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-availability-zone/detail, for admins, with hosts and services."""
    nova.admin_only(request, 'os_compute_api:os-availability-zone:detail')
    now = micro(nova.stamp())
    alive = {'available': True, 'active': True, 'updated_at': now}
    zones: list[dict[str, Any]] = [
        {'zoneName': 'internal', 'zoneState': {'available': True},
         'hosts': {'control': {'nova-conductor': alive, 'nova-scheduler': alive}}}]
    zones += [{'zoneName': zone, 'zoneState': {'available': True},
               'hosts': {host: {'nova-compute': alive} for host in nova.hosts}}
              for zone in nova.settings.zones]
    return wire.reply({'availabilityZoneInfo': zones})


def _services(nova: 'Nova', request: wire.Request) -> list[dict[str, Any]]:
    rows = [('nova-conductor', 'control', 'internal'), ('nova-scheduler', 'control', 'internal')]
    rows += [('nova-compute', host, nova.settings.zones[0]) for host in nova.hosts]
    found = []
    for index, (binary, host, zone) in enumerate(rows, 1):
        service: dict[str, Any] = {
            'id': index if request.minor < 53 else _uuid('service', nova.hosts[0], binary, host),
            'binary': binary, 'host': host, 'zone': zone, 'status': 'enabled', 'state': 'up',
            'updated_at': micro(nova.stamp()), 'disabled_reason': None}
        if request.minor >= 11:
            service['forced_down'] = False
        found.append(service)
    return found


def list_services(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-services, by binary and host."""
    nova.admin_only(request, 'os_compute_api:os-services:list')
    rows = _services(nova, request)
    for name in ('binary', 'host'):
        if request.has(name):
            rows = [row for row in rows if row[name] == request.last(name)]
    return wire.reply({'services': rows})


def _hypervisor(nova: 'Nova', request: wire.Request, index: int, host: str) -> dict[str, Any]:
    return {'id': index if request.minor < 53 else _uuid('node', host),
            'hypervisor_hostname': host, 'state': 'up', 'status': 'enabled'}


def _hypervisor_detail(nova: 'Nova', request: wire.Request, index: int,
                       host: str) -> dict[str, Any]:
    live = [server for server in nova.servers.values()
            if server['host'] == host and not server['deleted']]
    view = _hypervisor(nova, request, index, host)
    service_id = index + 2 if request.minor < 53 else _uuid(
        'service', nova.hosts[0], 'nova-compute', host)
    view |= {'service': {'id': service_id, 'host': host, 'disabled_reason': None},
             'hypervisor_type': 'fake', 'hypervisor_version': 1000, 'host_ip': '127.0.0.1'}
    if request.minor < 88:
        used_ram = sum(server['flavor']['ram'] for server in live)
        view |= {'vcpus': 1000, 'memory_mb': 800000, 'local_gb': 600000, 'running_vms': len(live),
                 'vcpus_used': sum(server['flavor']['vcpus'] for server in live),
                 'memory_mb_used': 512 + used_ram, 'free_ram_mb': 800000 - 512 - used_ram,
                 'local_gb_used': sum(server['flavor']['disk'] for server in live),
                 'free_disk_gb': 600000 - sum(server['flavor']['disk'] for server in live),
                 'current_workload': 0, 'disk_available_least': 0,
                 'cpu_info': {} if request.minor >= 28 else '{}'}
    else:
        view['uptime'] = None
    return view


def _list_hypervisors(nova: 'Nova', request: wire.Request, view: Any,
                      path: str) -> wire.Response:
    nova.admin_only(request, 'os_compute_api:os-hypervisors:list')
    rows = [view(nova, request, index, host) for index, host in enumerate(nova.hosts, 1)]
    pattern = request.last('hypervisor_hostname_pattern')
    if pattern is not None and request.minor >= 53:
        rows = [row for row in rows if pattern in row['hypervisor_hostname']]
        if not rows:
            raise Refusal(404, f"No hypervisor matching '{pattern}' could be found.")
    body: dict[str, Any] = {}
    if request.minor >= 33:
        limit = paging.number(request, 'limit', nova.settings.max_limit, nova.settings.max_limit)
        marker = request.last('marker')
        if marker is not None:
            ids = [str(row['id']) for row in rows]
            if marker not in ids:
                raise Refusal(400, f'marker [{marker}] not found')
            rows = rows[ids.index(marker) + 1:]
        rows = rows[:limit]
        if limit and len(rows) == limit:
            body['hypervisors_links'] = paging.next_link(request, path, str(rows[-1]['id']))
    body['hypervisors'] = rows
    return wire.reply(body)


def list_hypervisors(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-hypervisors."""
    return _list_hypervisors(nova, request, _hypervisor, 'os-hypervisors')


def list_hypervisor_details(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-hypervisors/detail."""
    return _list_hypervisors(nova, request, _hypervisor_detail, 'os-hypervisors/detail')


def show_hypervisor(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-hypervisors/{id}: an integer before 2.53, a uuid after."""
    nova.admin_only(request, 'os_compute_api:os-hypervisors:show')
    wanted = request.args['hypervisor_id']
    for index, host in enumerate(nova.hosts, 1):
        view = _hypervisor_detail(nova, request, index, host)
        if str(view['id']) == wanted:
            return wire.reply({'hypervisor': view})
    raise Refusal(404, f'Hypervisor with ID \'{wanted}\' could not be found.')


def show_statistics(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-hypervisors/statistics, to 2.87."""
    nova.admin_only(request, 'os_compute_api:os-hypervisors:statistics')
    request.minor = min(request.minor, 87)
    rows = [_hypervisor_detail(nova, request, index, host)
            for index, host in enumerate(nova.hosts, 1)]
    names = ('vcpus', 'memory_mb', 'local_gb', 'vcpus_used', 'memory_mb_used', 'local_gb_used',
             'free_ram_mb', 'free_disk_gb', 'current_workload', 'running_vms',
             'disk_available_least')
    return wire.reply({'hypervisor_statistics': {
        'count': len(rows), **{name: sum(row[name] for row in rows) for name in names}}})


def _aggregate(nova: 'Nova', request: wire.Request, aggregate: dict[str, Any]) -> dict[str, Any]:
    view = {key: value for key, value in aggregate.items() if key != 'uuid'}
    view['created_at'], view['updated_at'] = (
        micro(aggregate['created_at']), micro(aggregate['updated_at']))
    if request.minor >= 41:
        view['uuid'] = aggregate['uuid']
    return view


def list_aggregates(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-aggregates."""
    nova.admin_only(request, 'os_compute_api:os-aggregates:index')
    return wire.reply({'aggregates': [_aggregate(nova, request, row)
                                      for row in nova.aggregates.values()]})


def create_aggregate(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /os-aggregates: 200, with an integer id that every pod uses."""
    nova.admin_only(request, 'os_compute_api:os-aggregates:create')
    body = nova.body(request, 'aggregate')
    if any(row['name'] == body['name'] for row in nova.aggregates.values()):
        raise Refusal(409, f"Aggregate {body['name']} already exists.")
    zone = body.get('availability_zone')
    aggregate = {'id': max(nova.aggregates, default=0) + 1, 'uuid': nova.new_id(),
                 'name': body['name'], 'availability_zone': zone, 'hosts': [],
                 'metadata': {'availability_zone': zone} if zone else {},
                 'created_at': nova.stamp(), 'updated_at': None, 'deleted': False,
                 'deleted_at': None}
    nova.aggregates[aggregate['id']] = aggregate
    view = _aggregate(nova, request, aggregate)
    del view['hosts'], view['metadata']
    return wire.reply({'aggregate': view})


def _find_aggregate(nova: 'Nova', request: wire.Request, rule: str) -> dict[str, Any]:
    nova.admin_only(request, f'os_compute_api:os-aggregates:{rule}')
    wanted = request.args['aggregate_id']
    if not wanted.isdigit() or int(wanted) not in nova.aggregates:
        raise Refusal(404, f'Aggregate {wanted} could not be found.')
    return nova.aggregates[int(wanted)]


def show_aggregate(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-aggregates/{id}."""
    return wire.reply({'aggregate': _aggregate(nova, request,
                                               _find_aggregate(nova, request, 'show'))})


def delete_aggregate(nova: 'Nova', request: wire.Request) -> wire.Response:
    """DELETE /os-aggregates/{id}: 200."""
    del nova.aggregates[_find_aggregate(nova, request, 'delete')['id']]
    return wire.empty(200)


def change_aggregate(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /os-aggregates/{id}/action."""
    body = wire.loads(request.body or b'{}')
    if len(body) != 1:
        raise Refusal(400, 'Malformed request body')
    name, given = next(iter(body.items()))
    if name not in ('add_host', 'remove_host', 'set_metadata'):
        raise Refusal(400, f'There is no such action: {name}')
    aggregate = _find_aggregate(nova, request, name)
    if name == 'set_metadata':
        for key, value in given['metadata'].items():
            aggregate['metadata'][key] = value
            if value is None:
                del aggregate['metadata'][key]
    elif name == 'add_host':
        if given['host'] not in nova.hosts:
            raise Refusal(404, f'Compute host {given["host"]} could not be found.')
        aggregate['hosts'].append(given['host'])
    elif given['host'] in aggregate['hosts']:
        aggregate['hosts'].remove(given['host'])
    return wire.reply({'aggregate': _aggregate(nova, request, aggregate)})


def list_migrations(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-migrations: there are none."""
    nova.admin_only(request, 'os_compute_api:os-migrations:index')
    return wire.reply({'migrations': []})


def _usage(nova: 'Nova', project: str, start: Any, stop: Any, detailed: bool) -> dict[str, Any]:
    rows, total = [], {'hours': 0.0, 'ram': 0.0, 'cpu': 0.0, 'disk': 0.0}
    for server in nova.servers.values():
        end = server['terminated_at'] or stop
        begin = max(server['created_at'], start)
        if server['project_id'] != project or end < start or begin > stop:
            continue
        flavor, hours = server['flavor'], max(0.0, (min(end, stop) - begin).total_seconds() / 3600)
        total['hours'] += hours
        total['ram'] += hours * flavor['ram']
        total['cpu'] += hours * flavor['vcpus']
        total['disk'] += hours * flavor['disk']
        rows.append({'instance_id': server['id'], 'name': server['name'], 'hours': hours,
                     'tenant_id': project, 'flavor': flavor['name'], 'vcpus': flavor['vcpus'],
                     'memory_mb': flavor['ram'], 'local_gb': flavor['disk'],
                     'started_at': micro(server['created_at']),
                     'ended_at': micro(server['terminated_at']),
                     'state': 'terminated' if server['deleted'] else server['vm_state'],
                     'uptime': int((min(end, stop) - server['created_at']).total_seconds())})
    usage = {'tenant_id': project, 'start': micro(start), 'stop': micro(stop),
             'total_hours': total['hours'], 'total_memory_mb_usage': total['ram'],
             'total_vcpus_usage': total['cpu'], 'total_local_gb_usage': total['disk']}
    if detailed:
        usage['server_usages'] = rows
    return usage


def _period(nova: 'Nova', request: wire.Request) -> tuple[Any, Any]:
    now = nova.clock.now()
    try:
        return (parse_time(request.last('start') or now.isoformat()),
                parse_time(request.last('end') or now.isoformat()))
    except ValueError:
        raise Refusal(400, 'Invalid datetime string') from None


def list_usage(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-simple-tenant-usage."""
    nova.admin_only(request, 'os_compute_api:os-simple-tenant-usage:list')
    start, stop = _period(nova, request)
    detailed = request.last('detailed') == '1'
    projects = sorted({server['project_id'] for server in nova.servers.values()})
    return wire.reply({'tenant_usages': [_usage(nova, project, start, stop, detailed)
                                         for project in projects]})


def show_usage(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-simple-tenant-usage/{project}."""
    project = request.args['project_id']
    if project != request.user.project_id:
        nova.admin_only(request, 'os_compute_api:os-simple-tenant-usage:show')
    start, stop = _period(nova, request)
    usage = _usage(nova, project, start, stop, True)
    return wire.reply({'tenant_usage': usage if usage['server_usages'] else {}})


def list_extensions(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /extensions: kept for old clients."""
    return wire.reply({'extensions': []})


ROUTES = [
    Route('GET', '/os-availability-zone', list_zones),
    Route('GET', '/os-availability-zone/detail', list_zone_details),
    Route('GET', '/os-services', list_services),
    Route('GET', '/os-hypervisors', list_hypervisors),
    Route('GET', '/os-hypervisors/detail', list_hypervisor_details),
    Route('GET', '/os-hypervisors/statistics', show_statistics, until=87),
    Route('GET', '/os-hypervisors/{hypervisor_id}', show_hypervisor),
    Route('GET', '/os-aggregates', list_aggregates),
    Route('POST', '/os-aggregates', create_aggregate),
    Route('GET', '/os-aggregates/{aggregate_id}', show_aggregate),
    Route('DELETE', '/os-aggregates/{aggregate_id}', delete_aggregate),
    Route('POST', '/os-aggregates/{aggregate_id}/action', change_aggregate),
    Route('GET', '/os-migrations', list_migrations),
    Route('GET', '/os-simple-tenant-usage', list_usage),
    Route('GET', '/os-simple-tenant-usage/{project_id}', show_usage),
    Route('GET', '/extensions', list_extensions),
]
