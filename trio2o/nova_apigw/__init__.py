# SPDX-License-Identifier: Apache-2.0
"""The Nova API-GW: Compute API v2.1 over all pods."""

from trio2o.gateway.handlers.forward import ForwardToAny
from trio2o.nova_apigw import (
    aggregates,
    availability_zones,
    external_events,
    flavors,
    hypervisors,
    internal_calls,
    keypairs,
    limits,
    migrations,
    os_volumes_boot,
    proxy_apis,
    quotas,
    removed_apis,
    usage,
    versions,
)
from trio2o.nova_apigw.server_groups import rows as server_groups
from trio2o.nova_apigw.servers import rows as servers
from trio2o.web.operations import Operation, OperationTable
from trio2o.web.service import Service, parse_range

EXTENSIONS = [
    Operation('extensions.list', 'GET', '/extensions', ForwardToAny()),
    Operation('extensions.show', 'GET', '/extensions/{id}', ForwardToAny()),
]

SERVICE = Service(
    name='nova_apigw',
    service_type='compute',
    has_project_admins_only=True,
    catalog_types=('compute',),
    prefix='/v2.1',
    aliases=('/v2',),
    operations=OperationTable(
        [
            *servers.OPERATIONS,
            *flavors.OPERATIONS,
            *keypairs.OPERATIONS,
            *availability_zones.OPERATIONS,
            *limits.OPERATIONS,
            *external_events.OPERATIONS,
            *aggregates.OPERATIONS,
            *hypervisors.OPERATIONS,
            *migrations.OPERATIONS,
            *server_groups.OPERATIONS,
            *quotas.OPERATIONS,
            *usage.OPERATIONS,
            *internal_calls.OPERATIONS,
            *os_volumes_boot.OPERATIONS,
            *proxy_apis.OPERATIONS,
            *removed_apis.OPERATIONS,
            *EXTENSIONS,
            *versions.OPERATIONS,
        ]
    ),
    pages=versions.PAGES,
    other_paths=versions.choices,
    version_name='compute',
    legacy_version_header='X-OpenStack-Nova-API-Version',
    code_versions=parse_range('2.1', '2.104'),
    media_types=frozenset({'application/json', 'application/vnd.openstack.compute+json'}),
    malformed_url="Malformed request URL: URL's project_id '{url}' doesn't match Context's project_id '{token}'",
)
