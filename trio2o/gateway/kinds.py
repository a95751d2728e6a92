# SPDX-License-Identifier: Apache-2.0
"""The kinds of resources that have routings."""

from trio2o.gateway.resource import Resource

SERVER = Resource(
    'server',
    'compute',
    '/servers',
    'server',
    'servers',
    zones=('OS-EXT-AZ:availability_zone', 'pinned_availability_zone'),
    owners=('tenant_id',),
    created='created',
    missing='Instance {id} could not be found.',
)
VOLUME = Resource(
    'volume',
    'volume',
    '/volumes',
    'volume',
    'volumes',
    zones=('availability_zone',),
    owners=('os-vol-tenant-attr:tenant_id',),
    missing='Volume {id} could not be found.',
)
SNAPSHOT = Resource(
    'snapshot',
    'volume',
    '/snapshots',
    'snapshot',
    'snapshots',
    owners=('os-extended-snapshot-attributes:project_id',),
    missing='Snapshot {id} could not be found.',
)

ROUTED = {kind.type: kind for kind in (SERVER, VOLUME, SNAPSHOT)}
