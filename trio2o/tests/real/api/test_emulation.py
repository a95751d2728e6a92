# SPDX-License-Identifier: Apache-2.0
"""Compare emulated pods with a real one: the same requests get answers of the same shape.

Needs a real pod named by the environment as an ``openrc`` does (``trio2o-lab real env --region
Pod1``): OS_AUTH_URL, OS_PASSWORD, OS_REGION_NAME; skipped without. Users ``admin`` and ``demo``
with that password must be there. Compared: status, names of headers, keys and types of the JSON,
and the text of errors with ids blotted out.
"""

import dataclasses
import json
import os
import re
import time
import unittest
import uuid

import requests

from trio2o.lab.emulated.topology import Cloud

_UUID = re.compile(r'emu-[0-9a-f]{8}|[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}')
# Headers of the HTTP server, not of Nova and Cinder.
_SERVER_HEADERS = {'date', 'server', 'connection', 'content-length', 'transfer-encoding'}
_EXACT_HEADERS = {'content-type', 'vary', 'openstack-api-version', 'x-openstack-nova-api-version', 'retry-after'}
# Keys that depend on what is installed, or on how long something takes.
_VARYING = {
    'properties',
    'extra_specs',
    'volume_image_metadata',
    'fault',
    'metadata',
    'specs',
    'group_specs',
    'scheduler_hints',
    'flavor_access',
    'quota_set',
    'quota_class_set',
    'hosts',
    'connection_info',
    'cpu_info',
    'capabilities',
}
NOWHERE = '11111111-2222-3333-4444-555555555555'


@dataclasses.dataclass(frozen=True)
class Step:
    """One request to both pods. ``keep`` names values of the answer that later steps use."""

    service: str
    method: str
    path: str
    body: object = None
    version: str | None = None
    user: str = 'demo'
    keep: tuple[tuple[str, str], ...] = ()
    until: tuple[str, str] = ()
    token: bool = True
    loose: bool = False  # do not compare the text of the error

    @property
    def name(self):
        action = f' {next(iter(self.body))}' if self.path.endswith('/action') else ''
        return f'{self.user} {self.method} {self.service}{self.path}{action} {self.version or ""}'


def nova(method, path, body=None, version=None, **more):
    return Step('nova', method, path, body, version, **more)


def cinder(method, path, body=None, version=None, **more):
    return Step('cinder', method, path, body, version, **more)


def _server(**more):
    return {
        'server': {'name': 'emu-check', 'flavorRef': '{flavor}', 'imageRef': '{image}', 'networks': 'none', **more}
    }


SERVER = (('server', 'server.id'),)
VOLUME = (('volume', 'volume.id'),)
STEPS = [
    nova('GET', '/', token=False),
    nova('GET', '', token=False),
    nova('GET', '/servers', token=False),
    nova('GET', '/nope'),
    nova('GET', '/servers/'),
    nova('GET', '/servers/' + NOWHERE),
    nova('GET', '/servers', version='2.999'),
    nova('GET', '/servers', version='abc'),
    nova('GET', '/servers', version='latest'),
    nova('GET', '/' + NOWHERE + '/servers'),
    nova('GET', '/{project}/servers/detail'),
    nova('GET', '/{project}'),
    nova('GET', '/{project}/'),
    nova('POST', '/servers', {'server': {}}),
    nova('POST', '/servers', {}),
    nova('POST', '/servers', {'server': {'name': '', 'flavorRef': '1'}}, '2.1'),
    nova('POST', '/servers', _server(flavorRef='nope'), '2.90'),
    nova('POST', '/servers', _server(imageRef=NOWHERE), '2.90'),
    nova('POST', '/servers', _server(key_name='nope'), '2.90'),
    nova('POST', '/servers', _server(availability_zone='nope'), '2.90'),
    nova('POST', '/servers', _server(surprise=1), '2.90', loose=True),
    nova('POST', '/servers', {'server': {'name': 'x', 'flavorRef': '{flavor}', 'networks': 'none'}}, '2.90'),
    nova('POST', '/servers', _server(min_count=3, max_count=2), '2.90'),
    nova('POST', '/servers', _server(), '2.90', keep=SERVER),
    nova('GET', '/servers/{server}', version='2.90', until=('server.status', 'ACTIVE')),
    *[
        nova('GET', '/servers/{server}', version=version, user=user)
        for version in ('2.1', '2.3', '2.16', '2.26', '2.47', '2.63', '2.75', '2.90', '2.96', '2.98', '2.100', '2.104')
        for user in ('demo', 'admin')
    ],
    nova('GET', '/servers'),
    nova('GET', '/servers/detail', version='2.90'),
    nova('GET', '/servers/detail?limit=1', version='2.100'),
    nova('GET', '/servers?limit=0'),
    nova('GET', '/servers/detail?all_tenants=1', version='2.90', user='admin'),
    nova('GET', '/servers?all_tenants=1'),
    nova('GET', '/servers?marker=' + NOWHERE),
    nova('GET', '/servers?limit=-1'),
    nova('GET', '/servers?sort_key=nope', loose=True),
    nova('GET', '/servers?sort_key=host'),
    nova('GET', '/servers?status=nope'),
    nova('GET', '/servers?status=nope', version='2.38'),
    nova('GET', '/servers?foo=1'),
    nova('GET', '/servers?foo=1', version='2.75'),
    nova('GET', '/servers?status=deleted'),
    nova('GET', '/servers?changes-since=nope', loose=True),
    nova('PUT', '/servers/{server}', {'server': {'name': 'emu-2'}}, '2.19'),
    nova('PUT', '/servers/{server}', {'server': {'name': 'emu-3'}}, '2.90'),
    nova('PUT', '/servers/{server}', {'server': {'nope': 'x'}}, '2.90', loose=True),
    nova('GET', '/servers/{server}/metadata'),
    nova('POST', '/servers/{server}/metadata', {'metadata': {'a': 'b'}}),
    nova('GET', '/servers/{server}/metadata/a'),
    nova('GET', '/servers/{server}/metadata/nope'),
    nova('PUT', '/servers/{server}/metadata/a', {'meta': {'a': 'c'}}),
    nova('PUT', '/servers/{server}/metadata/a', {'meta': {'x': 'c'}}),
    nova('DELETE', '/servers/{server}/metadata/a'),
    nova('GET', '/servers/{server}/tags'),
    nova('GET', '/servers/{server}/tags', version='2.26'),
    nova('PUT', '/servers/{server}/tags/x', version='2.26'),
    nova('PUT', '/servers/{server}/tags/x', version='2.26'),
    nova('GET', '/servers/{server}/tags/x', version='2.26'),
    nova('GET', '/servers/{server}/tags/y', version='2.26'),
    nova('PUT', '/servers/{server}/tags', {'tags': ['z']}, version='2.26'),
    nova('DELETE', '/servers/{server}/tags/z', version='2.26'),
    nova('DELETE', '/servers/{server}/tags', version='2.26'),
    nova('GET', '/servers/{server}/ips'),
    nova('GET', '/servers/{server}/ips/nope'),
    nova('GET', '/servers/{server}/os-interface'),
    nova('GET', '/servers/{server}/os-interface/' + NOWHERE),
    nova('GET', '/servers/{server}/os-instance-actions'),
    nova('GET', '/servers/{server}/os-instance-actions', version='2.58'),
    nova('GET', '/servers/{server}/os-instance-actions/req-' + NOWHERE),
    nova('GET', '/servers/{server}/os-security-groups'),
    nova('GET', '/servers/{server}/diagnostics'),
    nova('POST', '/servers/{server}/action', {'nope': None}),
    nova('POST', '/servers/{server}/action', {'os-stop': None, 'os-start': None}),
    nova('POST', '/servers/' + NOWHERE + '/action', {'os-stop': None}),
    nova('POST', '/servers/{server}/action', {'os-start': None}),
    nova('POST', '/servers/{server}/action', {'confirmResize': None}),
    nova('POST', '/servers/{server}/action', {'lock': None}, '2.73'),
    nova('POST', '/servers/{server}/action', {'unlock': None}),
    nova('POST', '/servers/{server}/action', {'os-stop': None}),
    nova('GET', '/servers/{server}', version='2.90', until=('server.status', 'SHUTOFF')),
    nova('POST', '/servers/{server}/action', {'os-start': None}),
    nova('GET', '/servers/{server}', version='2.90', until=('server.status', 'ACTIVE')),
    nova('POST', '/servers/{server}/action', {'reboot': {'type': 'HARD'}}),
    nova('GET', '/servers/{server}', version='2.90', until=('server.status', 'ACTIVE')),
    nova('POST', '/servers/{server}/action', {'resize': {'flavorRef': '{flavor}'}}),
    nova('POST', '/servers/{server}/action', {'resize': {'flavorRef': 'nope'}}),
    nova('POST', '/servers/{server}/action', {'os-resetState': {'state': 'active'}}),
    nova('POST', '/servers/{server}/action', {'os-getConsoleOutput': {'length': 3}}),
    nova('POST', '/servers/{server}/action', {'rebuild': {'imageRef': '{image}'}}, '2.90'),
    nova('GET', '/servers/{server}', version='2.90', until=('server.status', 'ACTIVE')),
    nova(
        'POST',
        '/servers/{server}/remote-consoles',
        {'remote_console': {'protocol': 'vnc', 'type': 'novnc'}},
        '2.6',
        loose=True,
    ),
    nova('GET', '/flavors'),
    nova('GET', '/flavors/detail', version='2.90'),
    nova('GET', '/flavors/detail', version='2.102'),
    nova('GET', '/flavors?limit=1'),
    nova('GET', '/flavors/{flavor}'),
    nova('GET', '/flavors/{flavor}', version='2.75'),
    nova('GET', '/flavors/nope'),
    nova('GET', '/flavors?marker=nope'),
    nova('GET', '/flavors/{flavor}/os-extra_specs'),
    nova('POST', '/flavors', {'flavor': {'name': 'n', 'ram': 1, 'vcpus': 1, 'disk': 1}}),
    nova(
        'POST',
        '/flavors',
        {'flavor': {'name': '{word}', 'ram': 64, 'vcpus': 1, 'disk': 1, 'os-flavor-access:is_public': False}},
        '2.90',
        user='admin',
        keep=(('private', 'flavor.id'),),
    ),
    nova('POST', '/flavors', {'flavor': {'name': '{word}', 'ram': 64, 'vcpus': 1, 'disk': 1}}, user='admin'),
    nova('GET', '/flavors/{private}'),
    nova('GET', '/flavors/{private}/os-flavor-access', user='admin'),
    nova('GET', '/flavors/{flavor}/os-flavor-access', user='admin'),
    nova('POST', '/flavors/{private}/action', {'addTenantAccess': {'tenant': '{project}'}}, user='admin'),
    nova('GET', '/flavors/{private}'),
    nova('POST', '/flavors/{private}/action', {'addTenantAccess': {'tenant': '{project}'}}, user='admin', loose=True),
    nova('POST', '/flavors/{private}/action', {'removeTenantAccess': {'tenant': '{project}'}}, user='admin'),
    nova('POST', '/flavors/{private}/os-extra_specs', {'extra_specs': {'a': 'b'}}, user='admin'),
    nova('GET', '/flavors/{private}/os-extra_specs/a', user='admin'),
    nova('PUT', '/flavors/{private}/os-extra_specs/a', {'a': 'c'}, user='admin'),
    nova('DELETE', '/flavors/{private}/os-extra_specs/a', user='admin'),
    nova('DELETE', '/flavors/{private}/os-extra_specs/a', user='admin'),
    nova('DELETE', '/flavors/{private}', user='admin'),
    nova('POST', '/os-keypairs', {'keypair': {'name': '{word}', 'public_key': '{key}'}}, '2.92'),
    nova('POST', '/os-keypairs', {'keypair': {'name': '{word}', 'public_key': '{key}'}}, '2.92'),
    nova('POST', '/os-keypairs', {'keypair': {'name': 'x'}}, '2.92'),
    nova('GET', '/os-keypairs', version='2.1'),
    nova('GET', '/os-keypairs', version='2.35'),
    nova('GET', '/os-keypairs/{word}', version='2.2'),
    nova('GET', '/os-keypairs/nope'),
    nova('GET', '/os-keypairs?user_id={admin}', version='2.10'),
    nova('DELETE', '/os-keypairs/{word}', version='2.2'),
    nova('GET', '/limits'),
    nova('GET', '/limits', version='2.90'),
    nova('GET', '/os-availability-zone'),
    nova('GET', '/os-availability-zone/detail'),
    nova('GET', '/os-availability-zone/detail', user='admin'),
    nova('GET', '/os-quota-sets/{project}'),
    nova('GET', '/os-quota-sets/{project}', None, '2.90'),
    nova('GET', '/os-quota-sets/{project}/detail', None, '2.90', user='admin'),
    nova('GET', '/os-quota-sets/{project}/defaults'),
    nova('GET', '/os-services', version='2.90', user='admin'),
    nova('GET', '/os-services'),
    nova('GET', '/os-hypervisors', version='2.53', user='admin'),
    nova('GET', '/os-hypervisors/detail', version='2.53', user='admin'),
    nova('GET', '/os-hypervisors/detail', version='2.90', user='admin'),
    nova('GET', '/os-hypervisors/statistics', version='2.53', user='admin'),
    nova('GET', '/os-aggregates', user='admin'),
    nova('GET', '/os-aggregates'),
    nova(
        'POST',
        '/os-aggregates',
        {'aggregate': {'name': '{word}'}},
        user='admin',
        keep=(('aggregate', 'aggregate.id'),),
    ),
    nova('GET', '/os-aggregates/{aggregate}', version='2.41', user='admin'),
    nova('DELETE', '/os-aggregates/{aggregate}', user='admin'),
    nova('GET', '/os-migrations', user='admin'),
    nova('GET', '/os-simple-tenant-usage/{project}'),
    nova('GET', '/os-server-groups'),
    nova(
        'POST',
        '/os-server-groups',
        {'server_group': {'name': 'g', 'policy': 'affinity'}},
        '2.90',
        keep=(('group', 'server_group.id'),),
    ),
    nova('GET', '/os-server-groups/{group}', version='2.1'),
    nova('GET', '/os-server-groups/{group}', version='2.64'),
    nova('DELETE', '/os-server-groups/{group}'),
    nova('GET', '/os-server-groups/' + NOWHERE),
    nova(
        'POST',
        '/os-server-external-events',
        {'events': [{'name': 'network-changed', 'server_uuid': NOWHERE}]},
        user='admin',
    ),
    nova('POST', '/os-server-external-events', {'events': [{'name': 'network-changed', 'server_uuid': NOWHERE}]}),
    cinder('GET', '/../', token=False),
    cinder('GET', '/'),
    cinder('GET', '/volumes', token=False),
    cinder('GET', '/nope'),
    cinder('GET', '/volumes/' + NOWHERE),
    cinder('GET', '/volumes', version='3.999'),
    cinder('GET', '/volumes', version='abc'),
    cinder('GET', '/volumes', version='latest'),
    cinder('GET', '/' + NOWHERE + '/volumes'),
    cinder('GET', '/{project}/volumes/detail'),
    cinder('POST', '/volumes', {'volume': {}}),
    cinder('POST', '/volumes', {}, loose=True),
    cinder('POST', '/volumes', {'volume': {'size': 0}}, loose=True),
    cinder('POST', '/volumes', {'volume': {'size': 1, 'volume_type': 'nope'}}),
    cinder('POST', '/volumes', {'volume': {'size': 1, 'volume_type': NOWHERE}}),
    cinder('POST', '/volumes', {'volume': {'size': 1, 'availability_zone': 'nope'}}),
    cinder('POST', '/volumes', {'volume': {'size': 1, 'snapshot_id': NOWHERE}}),
    cinder('POST', '/volumes', {'volume': {'size': 1, 'source_volid': NOWHERE}}),
    cinder('POST', '/volumes', {'volume': {'size': 1, 'surprise': 1}}, '3.53', loose=True),
    cinder('POST', '/volumes', {'volume': {'size': 1, 'name': 'emu-check'}}, '3.71', keep=VOLUME),
    cinder('GET', '/volumes/{volume}', until=('volume.status', 'available')),
    *[
        cinder('GET', '/volumes/{volume}', version=version, user=user)
        for version in ('3.0', '3.13', '3.21', '3.48', '3.61', '3.63', '3.65', '3.69', '3.71')
        for user in ('demo', 'admin')
    ],
    cinder('GET', '/volumes'),
    cinder('GET', '/volumes/detail', version='3.71'),
    cinder('GET', '/volumes?limit=1'),
    cinder('GET', '/volumes?limit=0'),
    cinder('GET', '/volumes/detail?limit=1&with_count=true', version='3.45'),
    cinder('GET', '/volumes?marker=' + NOWHERE),
    cinder('GET', '/volumes?limit=-1'),
    cinder('GET', '/volumes?limit=x'),
    cinder('GET', '/volumes?offset=-1'),
    cinder('GET', '/volumes?sort=size&sort_key=id'),
    cinder('GET', '/volumes?sort=nope:asc'),
    cinder('GET', '/volumes?foo=1'),
    cinder('GET', '/volumes?foo=1', version='3.31'),
    cinder('GET', '/volumes?all_tenants=1', version='3.31'),
    cinder('GET', '/volumes/detail?all_tenants=1', version='3.71', user='admin'),
    cinder('GET', '/volumes/summary', version='3.36'),
    cinder('GET', '/volumes/summary'),
    cinder('PUT', '/volumes/{volume}', {'volume': {'name': 'emu-2'}}),
    cinder('POST', '/volumes/{volume}/metadata', {'metadata': {'a': 'b'}}),
    cinder('GET', '/volumes/{volume}/metadata'),
    cinder('GET', '/volumes/{volume}/metadata', version='3.15'),
    cinder('GET', '/volumes/{volume}/metadata/a'),
    cinder('GET', '/volumes/{volume}/metadata/x'),
    cinder('PUT', '/volumes/{volume}/metadata/a', {'meta': {'a': 'c'}}),
    cinder('PUT', '/volumes/{volume}/metadata', {'metadata': {'z': 'c'}}),
    cinder('DELETE', '/volumes/{volume}/metadata/z'),
    cinder('POST', '/volumes/{volume}/action', {'nope': {}}),
    cinder('POST', '/volumes/{volume}/action', {'os-extend': {'new_size': 1}}),
    cinder('POST', '/volumes/{volume}/action', {'os-reset_status': {'status': 'error'}}),
    cinder('POST', '/volumes/{volume}/action', {'os-set_bootable': {'bootable': True}}),
    cinder('POST', '/volumes/{volume}/action', {'os-update_readonly_flag': {'readonly': True}}),
    cinder('POST', '/volumes/{volume}/action', {'os-update_readonly_flag': {'readonly': False}}),
    cinder('POST', '/volumes/{volume}/action', {'os-set_image_metadata': {'metadata': {'a': 'b'}}}),
    cinder('POST', '/volumes/{volume}/action', {'os-show_image_metadata': {}}),
    cinder('POST', '/volumes/{volume}/action', {'os-unset_image_metadata': {'key': 'a'}}),
    cinder(
        'POST',
        '/volumes/{volume}/action',
        {'os-retype': {'new_type': 'nope', 'migration_policy': 'never'}},
        loose=True,
    ),
    cinder('POST', '/volumes/{volume}/action', {'os-reserve': {}}),
    cinder('POST', '/volumes/{volume}/action', {'os-unreserve': {}}),
    cinder('POST', '/snapshots', {'snapshot': {'volume_id': NOWHERE}}),
    cinder(
        'POST',
        '/snapshots',
        {'snapshot': {'volume_id': '{volume}', 'name': 'emu'}},
        keep=(('snapshot', 'snapshot.id'),),
    ),
    cinder('GET', '/snapshots/{snapshot}', until=('snapshot.status', 'available')),
    cinder('GET', '/snapshots/{snapshot}', version='3.71'),
    cinder('GET', '/snapshots'),
    cinder('GET', '/snapshots/detail', version='3.71'),
    cinder('GET', '/snapshots?limit=1'),
    cinder('GET', '/snapshots?marker=' + NOWHERE),
    cinder('GET', '/snapshots/' + NOWHERE),
    cinder('PUT', '/snapshots/{snapshot}', {'snapshot': {'name': 'emu-2'}}),
    cinder('GET', '/snapshots/{snapshot}/metadata'),
    cinder('GET', '/snapshots/{snapshot}/metadata/x'),
    cinder('DELETE', '/volumes/{volume}'),
    cinder('DELETE', '/snapshots/{snapshot}'),
    cinder('GET', '/snapshots/{snapshot}', until=('status', '404')),
    cinder('GET', '/types'),
    cinder('GET', '/types', user='admin'),
    cinder('GET', '/types/default'),
    cinder('GET', '/types?limit=1'),
    cinder('GET', '/types/' + NOWHERE),
    cinder('POST', '/types', {'volume_type': {'name': 'x'}}),
    cinder('POST', '/types', {'volume_type': {'name': '{word}'}}, user='admin', keep=(('type', 'volume_type.id'),)),
    cinder('POST', '/types', {'volume_type': {'name': '{word}'}}, user='admin'),
    cinder('GET', '/types/{type}'),
    cinder('POST', '/types/{type}/extra_specs', {'extra_specs': {'a': 'b'}}, user='admin'),
    cinder('GET', '/types/{type}/extra_specs', user='admin'),
    cinder('GET', '/types/{type}/extra_specs/a', user='admin'),
    cinder('GET', '/types/{type}/extra_specs/x', user='admin'),
    cinder('PUT', '/types/{type}/extra_specs/a', {'a': 'c'}, user='admin'),
    cinder('DELETE', '/types/{type}/extra_specs/a', user='admin'),
    cinder('GET', '/types/{type}/os-volume-type-access', user='admin'),
    cinder('GET', '/types/{type}/encryption', user='admin'),
    cinder('PUT', '/types/{type}', {'volume_type': {'description': 'd'}}, user='admin'),
    cinder('POST', '/types/{type}/action', {'addProjectAccess': {'project': '{project}'}}, user='admin'),
    cinder(
        'POST',
        '/qos-specs',
        {'qos_specs': {'name': '{word}', 'consumer': 'back-end', 'a': 'b'}},
        user='admin',
        keep=(('qos', 'qos_specs.id'),),
    ),
    cinder('GET', '/qos-specs', user='admin'),
    cinder('GET', '/qos-specs/{qos}', user='admin'),
    cinder('GET', '/qos-specs/{qos}/associate?vol_type_id={type}', user='admin'),
    cinder('GET', '/qos-specs/{qos}/associations', user='admin'),
    cinder('GET', '/qos-specs/{qos}/disassociate_all', user='admin'),
    cinder('DELETE', '/qos-specs/{qos}', user='admin'),
    cinder('DELETE', '/types/{type}', user='admin'),
    cinder('GET', '/limits'),
    cinder('GET', '/os-availability-zone'),
    cinder('GET', '/os-quota-sets/{project}'),
    cinder('GET', '/os-quota-sets/{project}?usage=True', user='admin'),
    cinder('GET', '/os-quota-sets/{project}/defaults', user='admin'),
    cinder('GET', '/attachments', version='3.27'),
    cinder('GET', '/attachments'),
    cinder('GET', '/attachments/' + NOWHERE, version='3.27'),
    cinder('GET', '/os-services', version='3.71', user='admin'),
    cinder('GET', '/os-services'),
    cinder('GET', '/scheduler-stats/get_pools', user='admin'),
    cinder('GET', '/resource_filters?resource=volume', version='3.33'),
    cinder(
        'POST',
        '/attachments',
        {'attachment': {'volume_uuid': '{volume}'}},
        '3.27',
        keep=(('attachment', 'attachment.id'),),
    ),
    cinder('GET', '/attachments/{attachment}', version='3.27'),
    cinder('GET', '/attachments', version='3.27'),
    cinder('GET', '/volumes/{volume}', version='3.71', until=('volume.status', 'reserved')),
    cinder('POST', '/attachments', {'attachment': {'volume_uuid': '{volume}'}}, '3.27', loose=True),
    cinder('DELETE', '/attachments/{attachment}', version='3.27'),
    cinder('DELETE', '/attachments/{attachment}', version='3.27'),
    cinder('GET', '/volumes/{volume}', until=('volume.status', 'available')),
    cinder('POST', '/volumes', {'volume': {'size': 1, 'imageRef': NOWHERE}}),
    cinder(
        'POST',
        '/volumes',
        {'volume': {'source_volid': '{volume}', 'name': 'emu-copy', 'metadata': {'a': 'b'}}},
        '3.71',
        keep=(('copy', 'volume.id'),),
    ),
    cinder('GET', '/volumes/{copy}', until=('volume.status', 'available')),
    cinder('POST', '/volumes/{copy}/action', {'os-extend': {'new_size': 2}}),
    cinder('GET', '/volumes/{copy}', until=('volume.size', '2')),
    cinder('DELETE', '/volumes/{copy}?cascade=true'),
    nova(
        'POST',
        '/servers',
        _server(min_count=2, return_reservation_id=True),
        '2.90',
        keep=(('reservation', 'reservation_id'),),
    ),
    nova('GET', '/servers?reservation_id={reservation}', version='2.90'),
    nova(
        'POST',
        '/os-server-external-events',
        {'events': [{'name': 'network-changed', 'server_uuid': '{server}'}]},
        user='admin',
    ),
    nova(
        'POST',
        '/os-server-external-events',
        {'events': [{'name': 'volume-extended', 'server_uuid': '{server}'}]},
        '2.51',
        user='admin',
    ),
    nova('POST', '/os-server-external-events', {'events': []}, user='admin', loose=True),
    nova('POST', '/os-keypairs', {'keypair': {'name': '{word}-made'}}, '2.2'),
    nova('DELETE', '/os-keypairs/{word}-made', version='2.2'),
    nova('POST', '/servers', _server(availability_zone='nova:nowhere'), '2.90'),
    nova('POST', '/servers', _server(availability_zone='nova:nowhere'), '2.90', user='admin'),
    nova('PUT', '/os-quota-sets/{project}', {'quota_set': {'instances': 50}}),
    nova('PUT', '/os-quota-sets/{project}', {'quota_set': {'instances': 50, 'x': 1}}, user='admin', loose=True),
    nova('PUT', '/os-quota-sets/{project}', {'quota_set': {'key_pairs': 100}}, '2.90', user='admin'),
    nova('DELETE', '/os-quota-sets/{project}', user='admin'),
    nova('GET', '/os-quota-class-sets/default', version='2.90', user='admin'),
    cinder('PUT', '/os-quota-sets/{project}', {'quota_set': {'volumes': 50}}),
    cinder('PUT', '/os-quota-sets/{project}', {'quota_set': {'volumes': 50}}, user='admin'),
    cinder('DELETE', '/os-quota-sets/{project}', user='admin'),
    cinder('GET', '/os-quota-class-sets/default', user='admin'),
    cinder('GET', '/backups'),
    cinder('GET', '/groups', version='3.13'),
    cinder('GET', '/messages', version='3.3'),
    cinder('GET', '/volume-transfers', version='3.55'),
    nova('GET', '/servers/{server}/os-volume_attachments'),
    nova('POST', '/servers/{server}/os-volume_attachments', {'volumeAttachment': {'volumeId': NOWHERE}}),
    nova(
        'POST',
        '/servers/{server}/os-volume_attachments',
        {'volumeAttachment': {'volumeId': '{volume}'}},
        until=('status', '200'),
    ),
    cinder('GET', '/volumes/{volume}', until=('volume.status', 'in-use')),
    cinder('GET', '/volumes/detail', version='3.71', user='demo'),
    cinder('DELETE', '/volumes/{volume}'),
    cinder('GET', '/attachments/detail', version='3.27'),
    nova('GET', '/servers/{server}/os-volume_attachments', version='2.90'),
    nova('GET', '/servers/{server}/os-volume_attachments/{volume}', version='2.79'),
    nova('GET', '/servers/{server}/os-volume_attachments/' + NOWHERE),
    nova('GET', '/servers/{server}', version='2.90'),
    nova(
        'POST', '/servers/{server}/os-volume_attachments', {'volumeAttachment': {'volumeId': '{volume}'}}, loose=True
    ),
    nova('DELETE', '/servers/{server}/os-volume_attachments/{volume}'),
    cinder('GET', '/volumes/{volume}', until=('volume.status', 'available')),
    cinder('DELETE', '/volumes/{volume}'),
    cinder('GET', '/volumes/{volume}', until=('status', '404')),
    nova('DELETE', '/servers/{server}'),
    nova('GET', '/servers/{server}', until=('status', '404')),
    nova('DELETE', '/servers/{server}'),
    nova('GET', '/servers?marker={server}'),
    nova('GET', '/servers/detail?changes-since=2020-01-01T00:00:00Z', version='2.90'),
    nova('GET', '/servers/{server}/os-instance-actions', version='2.21'),
]


STEPS += [
    cinder('POST', '/volumes', {'volume': {'size': 1, 'name': 'emu-more'}}, keep=(('more', 'volume.id'),)),
    cinder('GET', '/volumes/{more}', until=('volume.status', 'available')),
    cinder('POST', '/backups', {'backup': {'volume_id': NOWHERE}}),
    cinder('POST', '/backups', {'backup': {}}, loose=True),
    cinder('POST', '/backups', {'backup': {'volume_id': '{more}', 'incremental': True}}, loose=True),
    cinder('POST', '/backups', {'backup': {'volume_id': '{more}', 'name': 'emu'}}, keep=(('backup', 'backup.id'),)),
    cinder('GET', '/backups/{backup}', until=('backup.status', 'available')),
    *[
        cinder('GET', '/backups/{backup}', version=version, user=user)
        for version in ('3.18', '3.43', '3.56', '3.71')
        for user in ('demo', 'admin')
    ],
    cinder('GET', '/backups'),
    cinder('GET', '/backups/detail?limit=1'),
    cinder('GET', '/backups?with_count=True', version='3.45'),
    cinder('GET', '/backups?marker=' + NOWHERE),
    cinder('GET', '/backups?sort=nope', loose=True),
    cinder('GET', '/backups/' + NOWHERE),
    cinder('PUT', '/backups/{backup}', {'backup': {'name': 'emu-2'}}),
    cinder('PUT', '/backups/{backup}', {'backup': {'name': 'emu-2'}}, '3.9'),
    cinder('GET', '/backups/{backup}/export_record'),
    cinder('POST', '/backups/{backup}/action', {'os-reset_status': {'status': 'error'}}),
    cinder('POST', '/backups/{backup}/restore', {'restore': {'volume_id': NOWHERE}}),
    cinder('POST', '/backups/{backup}/restore', {'restore': {}}, keep=(('restored', 'restore.volume_id'),)),
    cinder('GET', '/volumes/{restored}', until=('volume.status', 'available')),
    cinder('DELETE', '/backups/{backup}', until=('status', '202')),
    cinder('GET', '/backups/{backup}', until=('status', '404')),
    cinder('DELETE', '/volumes/{restored}'),
    cinder('POST', '/volume-transfers', {'transfer': {'volume_id': NOWHERE}}),
    cinder('POST', '/volume-transfers', {'transfer': {}}, loose=True),
    cinder(
        'POST',
        '/volume-transfers',
        {'transfer': {'volume_id': '{more}', 'name': 'emu'}},
        '3.57',
        keep=(('transfer', 'transfer.id'), ('key', 'transfer.auth_key')),
    ),
    cinder('GET', '/volume-transfers'),
    cinder('GET', '/volume-transfers?limit=1'),
    cinder('GET', '/volume-transfers/detail?limit=1', version='3.59'),
    cinder('GET', '/os-volume-transfer/detail', version='3.59'),
    cinder('GET', '/volume-transfers/{transfer}'),
    cinder('GET', '/volume-transfers/{transfer}', version='3.71'),
    cinder('GET', '/volume-transfers/' + NOWHERE),
    cinder('POST', '/volume-transfers/{transfer}/accept', {'accept': {'auth_key': 'wrong'}}),
    cinder('POST', '/volume-transfers/' + NOWHERE + '/accept', {'accept': {'auth_key': 'wrong'}}),
    cinder('POST', '/os-volume-transfer/{transfer}/accept', {'accept': {'auth_key': '{key}'}}),
    cinder('DELETE', '/volume-transfers/{transfer}'),
    cinder('GET', '/messages', version='3.5'),
    cinder('GET', '/messages/' + NOWHERE, version='3.3'),
    cinder('GET', '/group_types', version='3.11'),
    cinder('GET', '/group_types', version='3.11', user='admin'),
    cinder('GET', '/group_types/' + NOWHERE, version='3.11'),
    cinder('POST', '/group_types', {'group_type': {'name': 'x'}}, '3.11'),
    cinder(
        'POST',
        '/group_types',
        {'group_type': {'name': '{word}'}},
        '3.11',
        user='admin',
        keep=(('grouping', 'group_type.id'),),
    ),
    cinder('POST', '/group_types', {'group_type': {'name': '{word}'}}, '3.11', user='admin'),
    cinder('PUT', '/group_types/{grouping}', {'group_type': {'description': 'd'}}, '3.11', user='admin'),
    cinder('POST', '/group_types/{grouping}/group_specs', {'group_specs': {'a': 'b'}}, '3.11', user='admin'),
    cinder('GET', '/group_types/{grouping}/group_specs', version='3.11', user='admin'),
    cinder('GET', '/group_types/{grouping}/group_specs/x', version='3.11', user='admin', loose=True),
    cinder('PUT', '/group_types/{grouping}/group_specs/a', {'a': 'c'}, '3.11', user='admin'),
    cinder('DELETE', '/group_types/{grouping}/group_specs/a', version='3.11', user='admin'),
    cinder('POST', '/groups', {'group': {'group_type': NOWHERE, 'volume_types': ['__DEFAULT__']}}, '3.13'),
    cinder(
        'POST',
        '/groups',
        {'group': {'group_type': '{grouping}', 'volume_types': ['__DEFAULT__'], 'name': 'emu'}},
        '3.13',
        keep=(('group', 'group.id'),),
    ),
    cinder('GET', '/groups/{group}', version='3.13', until=('group.status', 'available')),
    *[
        cinder('GET', '/groups/{group}?list_volume=True', version=version, user=user)
        for version in ('3.14', '3.25', '3.38', '3.58')
        for user in ('demo', 'admin')
    ],
    cinder('GET', '/groups?limit=1', version='3.13'),
    cinder('GET', '/groups/detail', version='3.58'),
    cinder('GET', '/groups/' + NOWHERE, version='3.13'),
    cinder('GET', '/groups', version='3.12'),
    cinder('PUT', '/groups/{group}', {'group': {'name': 'emu-2'}}, '3.13'),
    cinder('GET', '/groups/{group}', version='3.13', until=('group.status', 'available')),
    cinder('POST', '/group_snapshots', {'group_snapshot': {'group_id': NOWHERE}}, '3.14'),
    cinder('GET', '/group_snapshots', version='3.14'),
    cinder('GET', '/group_snapshots/detail', version='3.29'),
    cinder('GET', '/group_snapshots/' + NOWHERE, version='3.14'),
    cinder('DELETE', '/group_types/{grouping}', version='3.11', user='admin'),
    cinder('POST', '/groups/{group}/action', {'nope': {}}, '3.13'),
    cinder('POST', '/groups/{group}/action', {'delete': {'delete-volumes': False}}, '3.13'),
    cinder('GET', '/groups/{group}', version='3.13', until=('status', '404')),
    cinder('DELETE', '/group_types/{grouping}', version='3.11', user='admin'),
    cinder('GET', '/default-types', version='3.62'),
    cinder('GET', '/default-types', version='3.62', user='admin'),
    cinder('PUT', '/default-types/{project}', {'default_type': {'volume_type': '__DEFAULT__'}}, '3.62', user='admin'),
    cinder('GET', '/default-types/{project}', version='3.62', user='admin'),
    cinder('DELETE', '/default-types/{project}', version='3.62', user='admin'),
    cinder('GET', '/default-types/{project}', version='3.62', user='admin'),
    cinder(
        'POST',
        '/qos-specs',
        {'qos_specs': {'name': '{word}-2', 'a': 'b'}},
        user='admin',
        keep=(('qos', 'qos_specs.id'),),
    ),
    cinder('PUT', '/qos-specs/{qos}', {'qos_specs': {'c': 'd'}}, user='admin'),
    cinder('PUT', '/qos-specs/{qos}/delete_keys', {'keys': ['a']}, user='admin'),
    cinder('PUT', '/qos-specs/{qos}/delete_keys', {'keys': ['x']}, user='admin'),
    cinder('GET', '/qos-specs/' + NOWHERE, user='admin'),
    cinder('DELETE', '/qos-specs/{qos}', user='admin'),
    cinder('PUT', '/os-services/disable', {'host': 'nobody', 'binary': 'cinder-volume'}, user='admin', loose=True),
    cinder('GET', '/os-hosts', user='admin'),
    cinder('GET', '/os-hosts/nobody', user='admin'),
    cinder('GET', '/capabilities/nobody', user='admin'),
    cinder('GET', '/clusters', version='3.7', user='admin'),
    cinder('GET', '/clusters/nobody', version='3.7', user='admin', loose=True),
    cinder('POST', '/workers/cleanup', {}, '3.24', user='admin'),
    cinder('GET', '/manageable_volumes?host=nobody', version='3.8', user='admin', loose=True),
    cinder('GET', '/os-snapshot-manage?host=nobody', user='admin', loose=True),
    cinder('DELETE', '/volumes/{more}'),
]


def pick(value, path):
    """The value at a dotted path, or None."""
    for name in path.split('.'):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def fill(value, known):
    """Replace each ``{name}`` in a path or body."""
    if isinstance(value, str):
        return re.sub(r'\{(\w+)\}', lambda match: str(known[match.group(1)]), value)
    if isinstance(value, dict):
        return {key: fill(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, known) for item in value]
    return value


def shape(value, key=''):
    """Keys and types of a JSON value; lists show the first item."""
    if key in _VARYING:
        return '...'
    if isinstance(value, dict):
        return {name: shape(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, bool):
        return 'bool'
    if value is None:
        return 'null'
    return 'number' if isinstance(value, int | float) else 'str'


def differences(real, emulated, where=''):
    """The differences of two shapes; null and an empty list equal any value."""
    if 'null' in (real, emulated) or [] in (real, emulated) or '...' in (real, emulated):
        return []
    if isinstance(real, dict) and isinstance(emulated, dict):
        found = [f'{where}.{key}: only real' for key in real.keys() - emulated.keys()]
        found += [f'{where}.{key}: only emulated' for key in emulated.keys() - real.keys()]
        for key in real.keys() & emulated.keys():
            found += differences(real[key], emulated[key], f'{where}.{key}')
        return found
    if isinstance(real, list) and isinstance(emulated, list):
        return differences(real[0], emulated[0], f'{where}[0]')
    return [] if real == emulated else [f'{where}: real {real}, emulated {emulated}']


class World:
    """One pod, real or emulated, and the values that steps kept."""

    def __init__(self, endpoints, tokens, known, send):
        self.endpoints = endpoints
        self.tokens = tokens
        self.known = {'word': 'emu-' + uuid.uuid4().hex[:8], **known}
        self.send = send

    def play(self, step):
        root = self.endpoints[step.service]
        path = fill(step.path, self.known)
        if path.startswith('/../'):
            root, path = root.rsplit('/', 1)[0], path[3:]
        if step.service == 'nova' and step.path == '/' and not step.token:
            root = root.rsplit('/', 1)[0]
        headers = {'Accept': 'application/json'}
        if step.token:
            headers['X-Auth-Token'] = self.tokens[step.user]
        if step.version:
            kind = 'compute' if step.service == 'nova' else 'volume'
            headers['OpenStack-API-Version'] = f'{kind} {step.version}'
        body = None
        if step.body is not None:
            headers['Content-Type'] = 'application/json'
            body = json.dumps(fill(step.body, self.known)).encode()
        status, fields, payload = self._until(step, root + path, headers, body)
        try:
            value = json.loads(payload) if payload else None
        except ValueError:
            value = payload.decode('utf-8', 'replace')
        for name, where in step.keep:
            self.known[name] = pick(value, where)
        return status, headers_of(fields), value

    def _until(self, step, url, headers, body):
        deadline = time.monotonic() + 60
        while True:
            answer = self.send(step.method, url, headers, body)
            if not step.until or time.monotonic() > deadline:
                return answer
            where, wanted = step.until
            try:
                found = str(answer[0]) if where == 'status' else pick(json.loads(answer[2]), where)
            except ValueError:
                found = None
            if str(found) == wanted:
                return answer
            time.sleep(0.5)  # the last answer counts, also after the deadline


def headers_of(fields):
    """The service's own headers; of those in _EXACT_HEADERS the values too."""
    found = {}
    for name, value in fields:
        name = name.lower()
        if name not in _SERVER_HEADERS:
            found.setdefault(name, []).append(value if name in _EXACT_HEADERS else '...')
    return {name: ', '.join(values) for name, values in found.items()}


def public_key():
    """A public key that Nova accepts."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    made = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    return made.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode() + ' emu'


def real_world(key):
    session = requests.Session()
    auth_url, region = os.environ['OS_AUTH_URL'], os.environ['OS_REGION_NAME']
    tokens, ids, endpoints = {}, {}, {}
    for user, project in (('admin', 'admin'), ('demo', 'demo')):
        domain = {'id': 'default'}
        answer = session.post(
            auth_url + '/auth/tokens',
            json={
                'auth': {
                    'identity': {
                        'methods': ['password'],
                        'password': {'user': {'name': user, 'password': os.environ['OS_PASSWORD'], 'domain': domain}},
                    },
                    'scope': {'project': {'name': project, 'domain': domain}},
                }
            },
            timeout=60,
        )
        answer.raise_for_status()
        body = answer.json()['token']
        tokens[user], ids[user] = answer.headers['X-Subject-Token'], body
        for service in body['catalog']:
            for row in service['endpoints']:
                if row['region'] == region and row['interface'] == 'public':
                    endpoints[service['type']] = re.sub(r'/%\(\w+\)s|/[0-9a-f]{32}$', '', row['url'])

    def send(method, url, headers, body):
        answer = session.request(method, url, headers=headers, data=body, timeout=60, allow_redirects=False)
        return answer.status_code, list(answer.headers.items()), answer.content

    auth = {'X-Auth-Token': tokens['demo']}
    image = session.get(endpoints['image'] + '/v2/images', headers=auth, timeout=60).json()
    flavors = session.get(endpoints['compute'] + '/flavors', headers=auth, timeout=60).json()
    return World(
        {'nova': endpoints['compute'], 'cinder': endpoints['volumev3']},
        tokens,
        {
            'project': ids['demo']['project']['id'],
            'admin': ids['admin']['user']['id'],
            'key': key,
            'image': next(row['id'] for row in image['images'] if row['status'] == 'active'),
            'flavor': flavors['flavors'][0]['id'],
        },
        send,
    )


def emulated_world(key):
    cloud = Cloud(pods=1)
    cloud.add_servers('Pod1', 'admin')
    transport = cloud.transport()
    pod = cloud.pod('Pod1')

    def send(method, url, headers, body):
        return transport.request(method, url, headers, body)

    return World(
        {'nova': pod.nova_url, 'cinder': pod.cinder_url},
        {'demo': cloud.token('demo'), 'admin': cloud.token('admin')},
        {
            'project': cloud.project_id('demo'),
            'admin': cloud.user_id('admin'),
            'key': key,
            'image': cloud.image['id'],
            'flavor': '1',
        },
        send,
    )


def clean(world):
    """Delete the servers of a run."""
    for token in world.tokens.values():
        headers = {'X-Auth-Token': token}
        root = world.endpoints['nova'] + '/servers'
        found = json.loads(world.send('GET', root + '?name=^emu-', headers, None)[2])
        for server in found['servers']:
            world.send('DELETE', f'{root}/{server["id"]}', headers, None)


def message(value):
    """The text of an error, with ids replaced."""
    if isinstance(value, dict):
        for item in value.values():
            if isinstance(item, dict) and 'message' in item:
                return _UUID.sub('<id>', str(item['message'])).strip()
    return None


def compare(step, real, emulated):
    """The differences between two answers to one step."""
    found = []
    if real[0] != emulated[0]:
        found.append(f'status: real {real[0]}, emulated {emulated[0]}')
    if real[1] != emulated[1]:
        found.append(
            f'headers: only real {sorted(real[1].items() - emulated[1].items())}, '
            f'only emulated {sorted(emulated[1].items() - real[1].items())}'
        )
    found += differences(shape(real[2]), shape(emulated[2]))
    if real[0] >= 400 and not step.loose and message(real[2]) != message(emulated[2]):
        found.append(f'text: real {message(real[2])!r}, emulated {message(emulated[2])!r}')
    return found


@unittest.skipUnless(
    os.environ.get('OS_AUTH_URL') and os.environ.get('OS_REGION_NAME', 'RegionOne') != 'RegionOne',
    'no real pod named by OS_AUTH_URL and OS_REGION_NAME',
)
class TestEmulation(unittest.TestCase):
    def test_emulated_pod_answers_like_real_one(self):
        key = public_key()
        real, emulated = real_world(key), emulated_world(key)
        self.addCleanup(clean, real)
        for step in STEPS:
            with self.subTest(step.name):
                found = compare(step, real.play(step), emulated.play(step))
                self.assertEqual([], found, '\n'.join(found))
