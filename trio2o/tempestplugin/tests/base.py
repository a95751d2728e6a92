# SPDX-License-Identifier: Apache-2.0
"""Base classes of the tests: the Admin API client, the registered pods, and clients that call one pod directly."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tempest import config, test
from tempest.common import compute, waiters
from tempest.lib import exceptions
from tempest.lib.common import api_microversion_fixture, rest_client
from tempest.lib.common.utils import data_utils, test_utils
from tempest.lib.services.compute import servers_client
from tempest.lib.services.volume.v3 import volumes_client

CONF = config.CONF
#: The first microversion in which the field ``networks`` of a new server can be 'none'.
WITHOUT_PORT = '2.37'
Json = dict[str, Any]


class BaseTrio2oTest(test.BaseTestCase):
    """A tenant, an admin, and the Admin API as the admin."""

    credentials = ['primary', 'admin']

    @classmethod
    def skip_checks(cls) -> None:
        super().skip_checks()
        if not CONF.service_available.trio2o:
            raise cls.skipException('Trio2o is not available')

    @classmethod
    def setup_credentials(cls) -> None:
        # No network unless a class says so.
        cls.set_network_resources()
        super().setup_credentials()

    @classmethod
    def setup_clients(cls) -> None:
        super().setup_clients()
        cls.admin = cls.os_admin.trio2o.AdminClient()
        cls.tenant = cls.os_primary.trio2o.AdminClient()

    @classmethod
    def all_pods(cls) -> list[Json]:
        """The pods, without the top region."""
        pods: list[Json] = [pod for pod in cls.admin.list_pods()['pods'] if pod['az_name']]
        return pods

    @classmethod
    def pods_by_zone(cls) -> dict[str, list[Json]]:
        """Zone -> the pods in it that take new resources; a zone without any is left out."""
        zones: dict[str, list[Json]] = {}
        for pod in cls.all_pods():
            if pod['state'] == 'enabled':
                zones.setdefault(pod['az_name'], []).append(pod)
        return zones

    def direct(self, client: type[rest_client.RestClient], service: str, pod_name: str) -> Any:
        """Make a client that calls a pod directly."""
        options = {**config.service_client_config(service), 'region': pod_name}
        return client(self.os_primary.auth_provider, **options)

    def until(self, is_true: Callable[[], Any], what: str) -> Any:
        """Check a condition repeatedly until it is true.

        :raises TimeoutException: the condition is still false after build_timeout
        """
        deadline = time.monotonic() + CONF.trio2o.build_timeout
        while True:
            found = is_true()
            if found:
                return found
            if time.monotonic() > deadline:
                raise exceptions.TimeoutException(what)
            time.sleep(CONF.trio2o.build_interval)


class BaseScenario(BaseTrio2oTest):
    """Servers and volumes in the zones of at least two pods."""

    zones_needed = 2
    calls_pods = False
    #: Whether servers have a port in the tenant's network. Without ports, the pods have half of the work.
    has_network = False

    @classmethod
    def skip_checks(cls) -> None:
        super().skip_checks()
        if not (CONF.service_available.nova and CONF.service_available.cinder):
            raise cls.skipException('Nova and Cinder are needed')
        if cls.calls_pods and not CONF.trio2o.pods_reachable:
            raise cls.skipException('the pods cannot be called directly ([trio2o] pods_reachable)')

    @classmethod
    def setup_credentials(cls) -> None:
        cls.set_network_resources(network=cls.has_network, subnet=cls.has_network, dhcp=cls.has_network)
        super(BaseTrio2oTest, cls).setup_credentials()

    @classmethod
    def setup_clients(cls) -> None:
        super().setup_clients()
        cls.servers = cls.os_primary.servers_client
        cls.volumes = cls.os_primary.volumes_client_latest

    @classmethod
    def resource_setup(cls) -> None:
        super().resource_setup()
        cls.zones = cls.pods_by_zone()
        if len(cls.zones) < cls.zones_needed:
            raise cls.skipException(f'{cls.zones_needed} zones with pods that take new resources are needed')
        cls.first_zone, cls.second_zone = sorted(cls.zones)[:2]

    # Directly in a pod, past the gateway

    def servers_of(self, pod_name: str) -> servers_client.ServersClient:
        return self.direct(servers_client.ServersClient, 'compute', pod_name)

    def volumes_of(self, pod_name: str) -> volumes_client.VolumesClient:
        return self.direct(volumes_client.VolumesClient, 'volume', pod_name)

    def pod_of(self, resource_id: str) -> str:
        """The name of the pod a resource is in, as the routing says."""
        routing = self.admin.show_routing(resource_id)['routing']
        return next(str(pod['pod_name']) for pod in self.all_pods() if pod['pod_id'] == routing['pod_id'])

    # What a tenant makes

    def create_server(self, **options: Any) -> Json:
        """Boot and wait; it is gone when the test is."""
        network = {'tenant_network': self.get_tenant_network()} if self.has_network else {'networks': 'none'}
        options = {'wait_until': 'ACTIVE', **network, **options}
        with api_microversion_fixture.APIMicroversionFixture(compute_microversion=WITHOUT_PORT):
            server, _ = compute.create_test_server(self.os_primary, **options)
        self.addCleanup(self.delete_server, self.servers, server['id'])
        shown: Json = self.servers.show_server(server['id'])['server']
        return shown

    def delete_server(self, client: servers_client.ServersClient, server_id: str) -> None:
        test_utils.call_and_ignore_notfound_exc(client.delete_server, server_id)
        waiters.wait_for_server_termination(client, server_id)

    def create_volume(self, client: volumes_client.VolumesClient | None = None, **options: Any) -> Json:
        """Create and wait; it is gone when the test is."""
        client = client or self.volumes
        name = data_utils.rand_name('trio2o-volume', prefix=CONF.resource_name_prefix)
        volume: Json = client.create_volume(**{'size': CONF.volume.volume_size, 'name': name, **options})['volume']
        self.addCleanup(self.delete_volume, client, volume['id'])
        waiters.wait_for_volume_resource_status(client, volume['id'], 'available')
        shown: Json = client.show_volume(volume['id'])['volume']
        return shown

    def delete_volume(self, client: volumes_client.VolumesClient, volume_id: str) -> None:
        test_utils.call_and_ignore_notfound_exc(client.delete_volume, volume_id)
        client.wait_for_resource_deletion(volume_id)

    def create_server_in_pod(self, pod_name: str) -> Json:
        """Boot past the gateway, as a tenant did before there was one."""
        client = self.servers_of(pod_name)
        with api_microversion_fixture.APIMicroversionFixture(compute_microversion=WITHOUT_PORT):
            body = client.create_server(
                name=data_utils.rand_name('trio2o-early', prefix=CONF.resource_name_prefix),
                imageRef=CONF.compute.image_ref,
                flavorRef=CONF.compute.flavor_ref,
                networks='none',
            )
        server_id = body['server']['id']
        self.addCleanup(self.delete_server, client, server_id)
        waiters.wait_for_server_status(client, server_id, 'ACTIVE')
        shown: Json = client.show_server(server_id)['server']
        return shown

    def server_ids(self, **query: Any) -> set[str]:
        return {server['id'] for server in self.servers.list_servers(**query)['servers']}

    def volume_ids(self) -> set[str]:
        return {volume['id'] for volume in self.volumes.list_volumes()['volumes']}
