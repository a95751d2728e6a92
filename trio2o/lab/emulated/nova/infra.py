# SPDX-License-Identifier: Apache-2.0
"""Nova's infrastructure: zones, services, hosts, hypervisors, aggregates, migrations, usage."""

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
    return wire.reply(
        {
            'availabilityZoneInfo': [
                {'zoneName': zone, 'zoneState': {'available': True}, 'hosts': None} for zone in nova.settings.zones
            ]
        }
    )


def list_zone_details(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-availability-zone/detail, for admins, with hosts and services."""
    nova.admin_only(request, 'os_compute_api:os-availability-zone:detail')
    now = micro(nova.stamp())
    alive = {'available': True, 'active': True, 'updated_at': now}
    zones: list[dict[str, Any]] = [
        {
            'zoneName': 'internal',
            'zoneState': {'available': True},
            'hosts': {'control': {'nova-conductor': alive, 'nova-scheduler': alive}},
        }
    ]
    zones += [
        {
            'zoneName': zone,
            'zoneState': {'available': True},
            'hosts': {host: {'nova-compute': alive} for host in nova.hosts},
        }
        for zone in nova.settings.zones
    ]
    return wire.reply({'availabilityZoneInfo': zones})


def _services(nova: 'Nova', request: wire.Request) -> list[dict[str, Any]]:
    rows = [('nova-conductor', 'control', 'internal'), ('nova-scheduler', 'control', 'internal')]
    rows += [('nova-compute', host, nova.settings.zones[0]) for host in nova.hosts]
    found = []
    for index, (binary, host, zone) in enumerate(rows, 1):
        service: dict[str, Any] = {
            'id': index if request.minor < 53 else _uuid('service', nova.hosts[0], binary, host),
            'binary': binary,
            'host': host,
            'zone': zone,
            'state': 'up',
            'status': 'disabled' if host in nova.disabled else 'enabled',
            'updated_at': micro(nova.stamp()),
            'disabled_reason': nova.disabled.get(host),
        }
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


def change_service(nova: 'Nova', request: wire.Request) -> wire.Response:
    """PUT /os-services/enable, disable and disable-log-reason up to 2.52, then /os-services/{id}."""
    nova.admin_only(request, 'os_compute_api:os-services:update')
    body, wanted = wire.loads(request.body or b'{}'), request.args['service_id']
    if request.minor < 53:
        host, status = body.get('host'), wanted.removesuffix('-log-reason').rstrip('d') + 'd'
        if host not in nova.hosts:
            raise Refusal(404, f'Compute host {host} could not be found.')
    else:
        row = next((row for row in _services(nova, request) if row['id'] == wanted), None)
        if row is None:
            raise Refusal(404, f'Service {wanted} could not be found.')
        host, status = row['host'], body.get('status')
    nova.disabled.pop(host, None)
    if status == 'disabled':
        nova.disabled[host] = body.get('disabled_reason')
    if request.minor < 53:
        return wire.reply({'service': {'host': host, 'binary': body['binary'], 'status': status}})
    row = next(row for row in _services(nova, request) if row['id'] == wanted)
    return wire.reply({'service': row})


def list_hosts(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-hosts, by zone."""
    nova.admin_only(request, 'os_compute_api:os-hosts:list')
    zone = request.last('zone')
    return wire.reply(
        {
            'hosts': [
                {'host_name': row['host'], 'service': row['binary'].removeprefix('nova-'), 'zone': row['zone']}
                for row in _services(nova, request)
                if zone in (None, row['zone'])
            ]
        }
    )


def show_host(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-hosts/{name}."""
    nova.admin_only(request, 'os_compute_api:os-hosts:show')
    host = request.args['host']
    if host not in nova.hosts:
        raise Refusal(404, f'Compute host {host} could not be found.')
    return wire.reply(
        {
            'host': [
                {'resource': {'host': host, 'project': '(total)', 'cpu': 1000, 'memory_mb': 800000, 'disk_gb': 600000}}
            ]
        }
    )


def _hypervisor(nova: 'Nova', request: wire.Request, index: int, host: str) -> dict[str, Any]:
    return {
        'id': index if request.minor < 53 else _uuid('node', host),
        'hypervisor_hostname': host,
        'state': 'up',
        'status': 'enabled',
    }


def _hypervisor_detail(nova: 'Nova', request: wire.Request, index: int, host: str) -> dict[str, Any]:
    live = [server for server in nova.servers.values() if server['host'] == host and not server['deleted']]
    view = _hypervisor(nova, request, index, host)
    service_id = index + 2 if request.minor < 53 else _uuid('service', nova.hosts[0], 'nova-compute', host)
    view |= {
        'service': {'id': service_id, 'host': host, 'disabled_reason': None},
        'hypervisor_type': 'fake',
        'hypervisor_version': 1000,
        'host_ip': '127.0.0.1',
    }
    if request.minor < 88:
        used_ram = sum(server['flavor']['ram'] for server in live)
        view |= {
            'vcpus': 1000,
            'memory_mb': 800000,
            'local_gb': 600000,
            'running_vms': len(live),
            'vcpus_used': sum(server['flavor']['vcpus'] for server in live),
            'memory_mb_used': 512 + used_ram,
            'free_ram_mb': 800000 - 512 - used_ram,
            'local_gb_used': sum(server['flavor']['disk'] for server in live),
            'free_disk_gb': 600000 - sum(server['flavor']['disk'] for server in live),
            'current_workload': 0,
            'disk_available_least': 0,
            'cpu_info': {} if request.minor >= 28 else '{}',
        }
    else:
        view['uptime'] = None
    return view


def _list_hypervisors(nova: 'Nova', request: wire.Request, view: Any, path: str) -> wire.Response:
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
            rows = rows[ids.index(marker) + 1 :]
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
    """GET /os-hypervisors/{id}: the id is an integer up to 2.52, then a UUID."""
    nova.admin_only(request, 'os_compute_api:os-hypervisors:show')
    wanted = request.args['hypervisor_id']
    for index, host in enumerate(nova.hosts, 1):
        view = _hypervisor_detail(nova, request, index, host)
        if str(view['id']) == wanted:
            return wire.reply({'hypervisor': view})
    raise Refusal(404, f"Hypervisor with ID '{wanted}' could not be found.")


def search_hypervisors(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-hypervisors/{pattern}/search and servers, up to 2.52."""
    nova.admin_only(request, 'os_compute_api:os-hypervisors:search')
    pattern = request.args['hypervisor_id']
    rows = [_hypervisor(nova, request, index, host) for index, host in enumerate(nova.hosts, 1) if pattern in host]
    if not rows:
        raise Refusal(404, f"No hypervisor matching '{pattern}' could be found.")
    if request.path.endswith('/servers'):
        for row in rows:
            live = [
                server
                for server in nova.servers.values()
                if not server['deleted'] and server['host'] == row['hypervisor_hostname']
            ]
            if live:
                row['servers'] = [{'name': server['name'], 'uuid': server['id']} for server in live]
    return wire.reply({'hypervisors': rows})


def show_uptime(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-hypervisors/{id}/uptime, up to 2.87."""
    nova.admin_only(request, 'os_compute_api:os-hypervisors:uptime')
    for index, host in enumerate(nova.hosts, 1):
        view = _hypervisor(nova, request, index, host)
        if str(view['id']) == request.args['hypervisor_id']:
            return wire.reply({'hypervisor': {**view, 'uptime': ' 08:32:11 up 93 days'}})
    raise Refusal(404, f"Hypervisor with ID '{request.args['hypervisor_id']}' could not be found.")


def show_statistics(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-hypervisors/statistics, up to 2.87."""
    nova.admin_only(request, 'os_compute_api:os-hypervisors:statistics')
    request.minor = min(request.minor, 87)
    rows = [_hypervisor_detail(nova, request, index, host) for index, host in enumerate(nova.hosts, 1)]
    names = (
        'vcpus',
        'memory_mb',
        'local_gb',
        'vcpus_used',
        'memory_mb_used',
        'local_gb_used',
        'free_ram_mb',
        'free_disk_gb',
        'current_workload',
        'running_vms',
        'disk_available_least',
    )
    return wire.reply(
        {'hypervisor_statistics': {'count': len(rows), **{name: sum(row[name] for row in rows) for name in names}}}
    )


def _aggregate(nova: 'Nova', request: wire.Request, aggregate: dict[str, Any]) -> dict[str, Any]:
    view = {key: value for key, value in aggregate.items() if key != 'uuid'}
    view['created_at'], view['updated_at'] = (micro(aggregate['created_at']), micro(aggregate['updated_at']))
    if request.minor >= 41:
        view['uuid'] = aggregate['uuid']
    return view


def list_aggregates(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-aggregates."""
    nova.admin_only(request, 'os_compute_api:os-aggregates:index')
    return wire.reply({'aggregates': [_aggregate(nova, request, row) for row in nova.aggregates.values()]})


def create_aggregate(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /os-aggregates: 200; as in Nova, ids are integers from 1, so aggregates of two pods have the same ids."""
    nova.admin_only(request, 'os_compute_api:os-aggregates:create')
    body = nova.body(request, 'aggregate')
    if any(row['name'] == body['name'] for row in nova.aggregates.values()):
        raise Refusal(409, f'Aggregate {body["name"]} already exists.')
    zone = body.get('availability_zone')
    aggregate = {
        'id': max(nova.aggregates, default=0) + 1,
        'uuid': nova.new_id(),
        'name': body['name'],
        'availability_zone': zone,
        'hosts': [],
        'metadata': {'availability_zone': zone} if zone else {},
        'created_at': nova.stamp(),
        'updated_at': None,
        'deleted': False,
        'deleted_at': None,
    }
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
    return wire.reply({'aggregate': _aggregate(nova, request, _find_aggregate(nova, request, 'show'))})


def update_aggregate(nova: 'Nova', request: wire.Request) -> wire.Response:
    """PUT /os-aggregates/{id}: name and zone."""
    aggregate, body = _find_aggregate(nova, request, 'update'), nova.body(request, 'aggregate')
    aggregate.update(body, updated_at=nova.stamp())
    if body.get('availability_zone'):
        aggregate['metadata']['availability_zone'] = body['availability_zone']
    return wire.reply({'aggregate': _aggregate(nova, request, aggregate)})


def cache_images(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /os-aggregates/{id}/images, from 2.81: 202."""
    _find_aggregate(nova, request, 'images')
    return wire.empty(202)


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
    """GET /os-migrations: ``nova.migrations``; from 2.59 in pages, the newest first."""
    nova.admin_only(request, 'os_compute_api:os-migrations:index')
    rows = nova.migrations
    if request.minor < 59:
        return wire.reply({'migrations': [_migration(nova, request, row) for row in rows]})
    marker = request.last('marker')
    known = next((row for row in rows if row['uuid'] == marker), None)
    if marker is not None and known is None:
        raise Refusal(400, f'Marker {marker} could not be found.')
    rows = paging.after(rows, known, ['created_at', 'id'], ['desc', 'desc'])
    most = nova.settings.max_limit
    limit = paging.number(request, 'limit', most, most)
    rows = rows[:limit]
    body: dict[str, Any] = {'migrations': [_migration(nova, request, row) for row in rows]}
    if rows and len(rows) == limit:
        body['migrations_links'] = paging.next_link(request, 'os-migrations', rows[-1]['uuid'])
    return wire.reply(body)


def _migration(nova: 'Nova', request: wire.Request, row: dict[str, Any]) -> dict[str, Any]:
    view = {
        **row,
        'created_at': micro(row['created_at']),
        'status': 'running',
        'source_compute': nova.hosts[0],
        'migration_type': 'live-migration',
    }
    if request.minor >= 23:
        path = f'/servers/{row["instance_uuid"]}/migrations/{row["id"]}'
        view['links'] = [
            {'rel': 'self', 'href': request.prefix + path},
            {'rel': 'bookmark', 'href': request.base + path},
        ]
    if request.minor < 59:
        del view['uuid']
    return view


def list_server_migrations(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /servers/{id}/migrations, and one of them."""
    nova.admin_only(request, 'os_compute_api:servers:migrations:index')
    server = nova.server(request)
    rows = [
        {**row, 'created_at': micro(row['created_at'])}
        for row in nova.migrations
        if row['instance_uuid'] == server['id']
    ]
    wanted = request.args.get('migration_id')
    if wanted is None:
        return wire.reply({'migrations': rows})
    for row in rows:
        if str(row['id']) == wanted:
            return wire.reply({'migration': row})
    raise Refusal(404, f'Migration {wanted} not found for instance {server["id"]}')


def show_audit_log(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-instance_usage_audit_log, and /os-instance_usage_audit_log/{before}; the period is always the same."""
    nova.admin_only(request, 'os_compute_api:os-instance-usage-audit-log:list')
    key = 'instance_usage_audit_log' + ('' if request.args else 's')
    return wire.reply(
        {
            key: {
                'period_beginning': '2026-01-01 00:00:00',
                'period_ending': '2026-02-01 00:00:00',
                'num_hosts': len(nova.hosts),
                'num_hosts_done': 1,
                'num_hosts_running': 0,
                'num_hosts_not_run': len(nova.hosts) - 1,
                'hosts_not_run': nova.hosts[1:],
                'total_instances': len(nova.servers),
                'total_errors': 0,
                'overall_status': f'1 of {len(nova.hosts)} hosts done. 0 errors.',
                'log': {nova.hosts[0]: {'state': 'DONE', 'instances': len(nova.servers), 'errors': 0, 'message': ''}},
            }
        }
    )


def show_console_token(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-console-auth-tokens/{token}, from 2.31."""
    nova.admin_only(request, 'os_compute_api:os-console-auth-tokens')
    if request.minor < 31:
        raise Refusal(
            400, 'The server could not comply with the request since it is either malformed or otherwise incorrect.'
        )
    console = nova.consoles.get(request.args['token'])
    if console is None:
        raise Refusal(404, 'Token not found')
    return wire.reply({'console': console})


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
        rows.append(
            {
                'instance_id': server['id'],
                'name': server['name'],
                'hours': hours,
                'tenant_id': project,
                'flavor': flavor['name'],
                'vcpus': flavor['vcpus'],
                'memory_mb': flavor['ram'],
                'local_gb': flavor['disk'],
                'started_at': micro(server['created_at']),
                'ended_at': micro(server['terminated_at']),
                'state': 'terminated' if server['deleted'] else server['vm_state'],
                'uptime': int((min(end, stop) - server['created_at']).total_seconds()),
            }
        )
    usage = {
        'tenant_id': project,
        'start': micro(start),
        'stop': micro(stop),
        'total_hours': total['hours'],
        'total_memory_mb_usage': total['ram'],
        'total_vcpus_usage': total['cpu'],
        'total_local_gb_usage': total['disk'],
    }
    if detailed:
        usage['server_usages'] = rows
    return usage


def _period(nova: 'Nova', request: wire.Request) -> tuple[Any, Any]:
    now = nova.clock.now()
    try:
        return (
            parse_time(request.last('start') or now.isoformat()),
            parse_time(request.last('end') or now.isoformat()),
        )
    except ValueError:
        raise Refusal(400, 'Invalid datetime string') from None


def list_usage(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-simple-tenant-usage."""
    nova.admin_only(request, 'os_compute_api:os-simple-tenant-usage:list')
    start, stop = _period(nova, request)
    detailed = next((value for value in request.every('detailed') if value), '0') == '1'
    projects = sorted({server['project_id'] for server in nova.servers.values()})
    return wire.reply({'tenant_usages': [_usage(nova, project, start, stop, detailed) for project in projects]})


def show_usage(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-simple-tenant-usage/{project}."""
    project = request.args['project_id']
    if project != request.user.project_id:
        nova.admin_only(request, 'os_compute_api:os-simple-tenant-usage:show')
    start, stop = _period(nova, request)
    usage = _usage(nova, project, start, stop, True)
    return wire.reply({'tenant_usage': usage if usage['server_usages'] else {}})


def list_extensions(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /extensions: always empty."""
    return wire.reply({'extensions': []})


ROUTES = [
    Route('GET', '/os-availability-zone', list_zones),
    Route('GET', '/os-availability-zone/detail', list_zone_details),
    Route('GET', '/os-services', list_services),
    Route('PUT', '/os-services/{service_id}', change_service),
    Route('GET', '/os-hosts', list_hosts, until=42),
    Route('GET', '/os-hosts/{host}', show_host, until=42),
    Route('GET', '/os-hypervisors', list_hypervisors),
    Route('GET', '/os-hypervisors/detail', list_hypervisor_details),
    Route('GET', '/os-hypervisors/statistics', show_statistics, until=87),
    Route('GET', '/os-hypervisors/{hypervisor_id}', show_hypervisor),
    Route('GET', '/os-hypervisors/{hypervisor_id}/search', search_hypervisors, until=52),
    Route('GET', '/os-hypervisors/{hypervisor_id}/servers', search_hypervisors, until=52),
    Route('GET', '/os-hypervisors/{hypervisor_id}/uptime', show_uptime, until=87),
    Route('GET', '/os-aggregates', list_aggregates),
    Route('POST', '/os-aggregates', create_aggregate),
    Route('GET', '/os-aggregates/{aggregate_id}', show_aggregate),
    Route('PUT', '/os-aggregates/{aggregate_id}', update_aggregate),
    Route('DELETE', '/os-aggregates/{aggregate_id}', delete_aggregate),
    Route('POST', '/os-aggregates/{aggregate_id}/images', cache_images, since=81),
    Route('POST', '/os-aggregates/{aggregate_id}/action', change_aggregate),
    Route('GET', '/os-migrations', list_migrations),
    Route('GET', '/servers/{server_id}/migrations', list_server_migrations, since=23),
    Route('GET', '/servers/{server_id}/migrations/{migration_id}', list_server_migrations, since=23),
    Route('GET', '/os-instance_usage_audit_log', show_audit_log),
    Route('GET', '/os-instance_usage_audit_log/{before}', show_audit_log),
    Route('GET', '/os-console-auth-tokens/{token}', show_console_token),
    Route('GET', '/os-simple-tenant-usage', list_usage),
    Route('GET', '/os-simple-tenant-usage/{project_id}', show_usage),
    Route('GET', '/extensions', list_extensions),
]
