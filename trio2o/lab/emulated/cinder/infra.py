# SPDX-License-Identifier: Apache-2.0
"""Cinder's infrastructure: zones, services, hosts, pools, clusters, filters, manageable volumes."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire
from trio2o.lab.emulated.cinder import lists, records, volumes
from trio2o.lab.emulated.clock import micro
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder


FILTERS = {
    'volume': [
        'name',
        'status',
        'metadata',
        'bootable',
        'migration_status',
        'availability_zone',
        'group_id',
        'size',
        'created_at',
        'updated_at',
    ],
    'snapshot': ['name', 'status', 'volume_id', 'metadata', 'availability_zone'],
    'attachment': ['volume_id', 'status', 'instance_id', 'attach_status'],
    'backup': ['name', 'status', 'volume_id'],
    'message': ['resource_uuid', 'resource_type', 'event_id', 'request_id', 'message_level'],
    'group': ['name', 'status', 'availability_zone', 'group_type_id'],
    'volume_type': ['is_public'],
}


def list_zones(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /os-availability-zone."""
    return wire.reply(
        {
            'availabilityZoneInfo': [
                {'zoneName': zone, 'zoneState': {'available': True}} for zone in cinder.settings.zones
            ]
        }
    )


def list_services(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /os-services, by binary and host."""
    cinder.admin_only(request, 'volume_extension:services:index')
    zone, rows = cinder.settings.zones[0], []
    for binary, host in (
        ('cinder-scheduler', 'control'),
        *(('cinder-volume', f'{host}@fake') for host in cinder.hosts),
    ):
        row: dict[str, Any] = {
            'binary': binary,
            'host': host,
            'zone': zone,
            'status': 'enabled',
            'state': 'up',
            'updated_at': micro(cinder.stamp()),
        }
        row['disabled_reason'] = None
        if request.minor >= 7:
            row['cluster'] = None
        if binary == 'cinder-volume':
            row |= {'replication_status': 'disabled', 'active_backend_id': None, 'frozen': False}
            if request.minor >= 49:
                row['backend_state'] = 'up'
        rows.append(row)
    for name in ('binary', 'host'):
        if request.has(name):
            rows = [row for row in rows if row[name] == request.last(name)]
    return wire.reply({'services': rows})


def list_pools(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /scheduler-stats/get_pools: one pool for each host, of ``capacity_gb`` and with ``capabilities``."""
    cinder.admin_only(request, 'scheduler_extension:scheduler_stats:get_pools')
    used = sum(volume['size'] for volume in cinder.volumes.values())
    rows: list[dict[str, Any]] = []
    for host in cinder.hosts:
        row: dict[str, Any] = {'name': f'{host}@fake#fake'}
        if str(request.last('detail', 'false')).lower() == 'true':
            row['capabilities'] = {
                'total_capacity_gb': cinder.capacity_gb,
                'free_capacity_gb': cinder.capacity_gb - used,
                'allocated_capacity_gb': used,
                'reserved_percentage': 0,
                'volume_backend_name': 'fake',
                'storage_protocol': 'fake',
                'driver_version': '1.0',
                'vendor_name': 'emulated',
                'timestamp': micro(cinder.stamp()),
                **cinder.capabilities,
            }
        rows.append(row)
    return wire.reply({'pools': rows})


def list_filters(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /resource_filters, from 3.33."""
    known = cinder.filters
    wanted = request.last('resource')
    return wire.reply(
        {
            'resource_filters': [
                {'resource': name, 'filters': filters} for name, filters in known.items() if wanted in (None, name)
            ]
        }
    )


def list_extensions(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /extensions."""
    return wire.reply({'extensions': []})


def _names(cinder: 'Cinder') -> list[str]:
    return ['control', *(f'{host}@fake' for host in cinder.hosts)]


def change_service(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /os-services/enable, disable, disable-log-reason, freeze, thaw and failover_host; nothing changes."""
    cinder.admin_only(request, 'volume_extension:services:update')
    body, verb = cinder.body_of(request, '') or {}, request.path.rpartition('/')[2]
    if body.get('host') not in _names(cinder):
        raise Refusal(404, f'Service {body.get("binary")} could not be found on host {body.get("host")}.')
    if verb not in ('enable', 'disable', 'disable-log-reason'):
        return wire.empty(202 if verb == 'failover' else 200)
    status = 'enabled' if verb == 'enable' else 'disabled'
    return wire.reply(
        {
            'host': body['host'],
            'service': '',
            'binary': body.get('binary'),
            'status': status,
            'disabled': verb != 'enable',
        }
    )


def log_levels(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /os-services/get-log and set-log, from 3.32."""
    cinder.admin_only(request, 'volume_extension:services:update')
    if request.path.endswith('set-log'):
        return wire.bare(202)
    server = (cinder.body_of(request, '') or {}).get('server')
    return wire.reply(
        {
            'log_levels': [
                {'host': name, 'binary': 'cinder-volume', 'levels': {'cinder': 'INFO'}}
                for name in _names(cinder)[1:]
                if server in (None, '', name)
            ]
        }
    )


def list_hosts(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /os-hosts."""
    cinder.admin_only(request, 'volume_extension:hosts')
    zone = cinder.settings.zones[0]
    if request.last('zone') not in (None, zone):
        return wire.reply({'hosts': []})
    return wire.reply(
        {
            'hosts': [
                {
                    'host_name': name,
                    'service': 'cinder-volume',
                    'zone': zone,
                    'service-status': 'available',
                    'service-state': 'enabled',
                    'last-update': micro(cinder.stamp()),
                }
                for name in _names(cinder)[1:]
            ]
        }
    )


def show_host(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /os-hosts/{name}."""
    cinder.admin_only(request, 'volume_extension:hosts')
    name = request.args['name']
    if name not in _names(cinder):
        raise Refusal(404, f'Service cinder-volume could not be found on host {name}.')
    return wire.reply(
        {
            'host': [
                {
                    'resource': {
                        'host': name,
                        'project': '(total)',
                        'volume_count': str(len(cinder.volumes)),
                        'total_volume_gb': '0',
                        'snapshot_count': '0',
                        'total_snapshot_gb': '0',
                    }
                }
            ]
        }
    )


def show_capabilities(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /capabilities/{name}."""
    cinder.admin_only(request, 'volume_extension:capabilities')
    name = request.args['name']
    if name not in _names(cinder):
        raise Refusal(404, f"Can't find service: {name}")
    return wire.reply({'namespace': 'OS::Storage::Capabilities::emulated', 'pool_name': name, 'properties': {}})


def list_clusters(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /clusters, from 3.7: always empty."""
    cinder.admin_only(request, 'clusters:get_all')
    return wire.reply({'clusters': []})


def show_cluster(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /clusters/{name}: always 404."""
    cinder.admin_only(request, 'clusters:get')
    raise Refusal(404, f'Cluster {request.args["name"]} could not be found.')


def clean_up(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /workers/cleanup, from 3.24: 202."""
    cinder.admin_only(request, 'workers:cleanup')
    return wire.reply({'cleaning': [], 'unavailable': []}, 202)


def _check_host(cinder: 'Cinder', text: str | None) -> None:
    if text is None or text.partition('#')[0] not in _names(cinder)[1:]:
        raise Refusal(404, f'Service cinder-volume could not be found on host {text}.')


def list_manageable(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /manageable_volumes and manageable_snapshots: always empty."""
    cinder.admin_only(request, 'volume_extension:list_manageable')
    _check_host(cinder, request.last('host'))
    return wire.reply({'manageable-snapshots' if 'snapshot' in request.path else 'manageable-volumes': []})


def manage_volume(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /manageable_volumes: 202. The volume has the bytes of the unmanaged one with the name in ``ref``."""
    cinder.admin_only(request, 'volume_extension:volume_manage')
    body = cinder.body(request, 'volume')
    _check_host(cinder, body.get('host'))
    volume = records.new_volume(
        cinder,
        request.user.project_id,
        request.user.user_id,
        1,
        name=body.get('name'),
        host=body['host'],
        **_take_over(cinder, body),
    )
    return wire.reply({'volume': volumes.full(cinder, request, volume)}, 202)


def _take_over(cinder: 'Cinder', body: dict[str, Any]) -> dict[str, bytes]:
    """Take the bytes of what a request to manage refers to out of the unmanaged part of the pool."""
    name = (body.get('ref') or {}).get('source-name')
    return {'disk': cinder.storage.unmanaged.pop(name)} if name in cinder.storage.unmanaged else {}


def manage_snapshot(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST /manageable_snapshots: 202."""
    cinder.admin_only(request, 'snapshot_extension:snapshot_manage')
    body = cinder.body(request, 'snapshot')
    volume = cinder.volumes.get(body.get('volume_id', ''))
    if volume is None or not lists.may_see(request, volume):
        raise Refusal(404, volumes.MISSING.format(body.get('volume_id')))
    snapshot = records.new_snapshot(cinder, volume, name=body.get('name'), **_take_over(cinder, body))
    names = ('id', 'name', 'description', 'volume_id', 'status', 'size', 'metadata')
    return wire.reply({'snapshot': {name: snapshot[name] for name in names}}, 202)


ROUTES = [
    Route('GET', '/os-availability-zone', list_zones),
    Route('GET', '/os-services', list_services),
    Route('GET', '/scheduler-stats/get_pools', list_pools),
    Route('GET', '/resource_filters', list_filters, since=33),
    Route('GET', '/extensions', list_extensions),
    *(
        Route('PUT', f'/os-services/{verb}', change_service)
        for verb in ('enable', 'disable', 'disable-log-reason', 'freeze', 'thaw', 'failover_host')
    ),
    Route('PUT', '/os-services/get-log', log_levels, since=32),
    Route('PUT', '/os-services/set-log', log_levels, since=32),
    Route('GET', '/os-hosts', list_hosts),
    Route('GET', '/os-hosts/{name}', show_host),
    Route('GET', '/capabilities/{name}', show_capabilities),
    Route('GET', '/clusters', list_clusters, since=7),
    Route('GET', '/clusters/detail', list_clusters, since=7),
    Route('GET', '/clusters/{name}', show_cluster, since=7),
    Route('POST', '/workers/cleanup', clean_up, since=24),
    *(
        Route('GET', path + tail, list_manageable, since=since)
        for path, since in (
            ('/manageable_volumes', 8),
            ('/manageable_snapshots', 8),
            ('/os-volume-manage', 0),
            ('/os-snapshot-manage', 0),
        )
        for tail in ('', '/detail')
    ),
    Route('POST', '/manageable_volumes', manage_volume, since=8),
    Route('POST', '/os-volume-manage', manage_volume),
    Route('POST', '/manageable_snapshots', manage_snapshot, since=8),
    Route('POST', '/os-snapshot-manage', manage_snapshot),
]
