# SPDX-License-Identifier: Apache-2.0
"""What there is of a pod's Cinder besides volumes: zones, services, pools, filters."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire
from trio2o.lab.emulated.clock import micro
from trio2o.lab.emulated.wire import Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder


def list_zones(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /os-availability-zone."""
    return wire.reply({'availabilityZoneInfo': [
        {'zoneName': zone, 'zoneState': {'available': True}} for zone in cinder.settings.zones]})


def list_services(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /os-services, by binary and host."""
    cinder.admin_only(request, 'volume_extension:services:index')
    zone, rows = cinder.settings.zones[0], []
    for binary, host in (('cinder-scheduler', 'control'),
                         *(('cinder-volume', f'{host}@fake') for host in cinder.hosts)):
        row: dict[str, Any] = {'binary': binary, 'host': host, 'zone': zone, 'status': 'enabled',
                               'state': 'up', 'updated_at': micro(cinder.stamp())}
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
    """GET /scheduler-stats/get_pools."""
    cinder.admin_only(request, 'scheduler_extension:scheduler_stats:get_pools')
    used = sum(volume['size'] for volume in cinder.volumes.values())
    rows: list[dict[str, Any]] = []
    for host in cinder.hosts:
        row: dict[str, Any] = {'name': f'{host}@fake#fake'}
        if str(request.last('detail', 'false')).lower() == 'true':
            row['capabilities'] = {
                'total_capacity_gb': 1000, 'free_capacity_gb': 1000 - used,
                'allocated_capacity_gb': used, 'reserved_percentage': 0,
                'volume_backend_name': 'fake', 'storage_protocol': 'fake',
                'driver_version': '1.0', 'vendor_name': 'emulated',
                'timestamp': micro(cinder.stamp())}
        rows.append(row)
    return wire.reply({'pools': rows})


def list_filters(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /resource_filters, from 3.33."""
    known = {'volume': ['name', 'status', 'metadata', 'bootable', 'migration_status',
                        'availability_zone', 'group_id', 'size', 'created_at', 'updated_at'],
             'snapshot': ['name', 'status', 'volume_id', 'metadata', 'availability_zone'],
             'attachment': ['volume_id', 'status', 'instance_id', 'attach_status'],
             'backup': ['name', 'status', 'volume_id'],
             'message': ['resource_uuid', 'resource_type', 'event_id', 'request_id', 'message_level'],
             'group': ['name', 'status', 'availability_zone', 'group_type_id'],
             'volume_type': ['is_public']}
    wanted = request.last('resource')
    return wire.reply({'resource_filters': [
        {'resource': name, 'filters': filters} for name, filters in known.items()
        if wanted in (None, name)]})


def list_extensions(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /extensions."""
    return wire.reply({'extensions': []})


ROUTES = [
    Route('GET', '/os-availability-zone', list_zones),
    Route('GET', '/os-services', list_services),
    Route('GET', '/scheduler-stats/get_pools', list_pools),
    Route('GET', '/resource_filters', list_filters, since=33),
    Route('GET', '/extensions', list_extensions),
]
