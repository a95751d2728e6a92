# SPDX-License-Identifier: Apache-2.0
"""Tempest's own tests of servers and volumes, on servers and volumes that have moved to another pod."""

from __future__ import annotations

import time
from typing import Any

from tempest import config, test
from tempest.api.compute.servers import test_server_actions, test_server_metadata
from tempest.api.volume import test_volume_metadata, test_volumes_actions
from tempest.common import waiters
from tempest.lib import exceptions
from tempest.lib.common.utils import test_utils

CONF = config.CONF
_ENDS = ('confirmed', 'reverted', 'stuck')


class Moved(test.BaseTestCase):
    """Moves each server and each volume that a test creates, before the test goes on.

    :cvar round_trip: whether they go back to their first pod, too
    """

    round_trip = False

    @classmethod
    def skip_checks(cls) -> None:
        super().skip_checks()
        if not CONF.service_available.trio2o:
            raise cls.skipException('Trio2o is not available')

    @classmethod
    def setup_credentials(cls) -> None:
        if 'admin' not in cls.credentials:
            # Only administrators move resources by default.
            cls.credentials = [*cls.credentials, 'admin']
        super().setup_credentials()

    @classmethod
    def setup_clients(cls) -> None:
        super().setup_clients()
        cls.trio2o = cls.os_admin.trio2o.AdminClient()

    @classmethod
    def move(cls, kind: str, resource_id: str) -> None:
        """Move a server or volume to a pod of another zone and, if the class says so, back."""
        source = cls.trio2o.show_routing(resource_id)['routing']['pod_id']
        pods = {
            pod['pod_id']: pod
            for pod in cls.trio2o.list_pods()['pods']
            if pod['az_name'] and pod['state'] == 'enabled'
        }
        others = [pod for pod in pods.values() if pod['az_name'] != pods[source]['az_name']]
        if not others:
            raise cls.skipException('another zone is needed')
        cls._move_to(kind, resource_id, others[0]['pod_name'])
        if cls.round_trip:
            cls._move_to(kind, resource_id, pods[source]['pod_name'])

    @classmethod
    def _move_to(cls, kind: str, resource_id: str, pod_name: str) -> None:
        move = {f'{kind}_id': resource_id, 'target_pod': pod_name, 'confirm_seconds': 0}
        move_id = cls.trio2o.create_move(**move)['move']['id']
        deadline = time.monotonic() + CONF.trio2o.build_timeout
        while True:
            found = cls.trio2o.show_move(move_id)['move']
            if found['status'] in _ENDS:
                break
            if time.monotonic() > deadline:
                raise exceptions.TimeoutException(f'move {move_id} is {found["status"]}: {found["step"]}')
            time.sleep(CONF.trio2o.build_interval)
        if found['status'] != 'confirmed':
            raise exceptions.TempestException(f'move {move_id} is {found["status"]}: {found["error"]}')


class MovedServers(Moved):
    @classmethod
    def create_test_server(cls, *args: Any, **kwargs: Any) -> Any:
        server = super().create_test_server(*args, **kwargs)
        client = cls.os_primary.servers_client
        waiters.wait_for_server_status(client, server['id'], 'ACTIVE')
        # Nova leaves the ports of a moved server when it deletes the server. Members may not delete them before.
        ports = cls.os_admin.ports_client
        for port in ports.list_ports(device_id=server['id'])['ports']:
            cls.addClassResourceCleanup(test_utils.call_and_ignore_notfound_exc, ports.delete_port, port['id'])
        cls.move('server', server['id'])
        return server


class MovedVolumes(Moved):
    @classmethod
    def create_volume(cls, *args: Any, **kwargs: Any) -> Any:
        volume = super().create_volume(*args, **kwargs)
        client = cls.os_primary.volumes_client_latest
        waiters.wait_for_volume_resource_status(client, volume['id'], 'available')
        cls.move('volume', volume['id'])
        return volume

    def create_server(self, *args: Any, **kwargs: Any) -> Any:
        """Create a server to which the volume of the class can be attached."""
        volume = self.os_primary.volumes_client_latest.show_volume(self.volume['id'])['volume']
        return super().create_server(*args, availability_zone=volume['availability_zone'], **kwargs)


class VolumeBackedServers(MovedServers):
    """Servers that boot from a volume and have a port of their owner."""

    @classmethod
    def create_test_server(cls, *args: Any, **kwargs: Any) -> Any:
        network = cls.get_tenant_network()
        ports = cls.os_primary.ports_client
        port = ports.create_port(network_id=network['id'])['port']
        return super().create_test_server(*args, volume_backed=True, networks=[{'port': port['id']}], **kwargs)


class TestServerActions(MovedServers, test_server_actions.ServerActionsTestJSON):
    pass


class TestServerMetadata(VolumeBackedServers, test_server_metadata.ServerMetadataTestJSON):
    round_trip = True


class TestVolumesActions(MovedVolumes, test_volumes_actions.VolumesActionsTest):
    pass


class TestVolumesMetadata(MovedVolumes, test_volume_metadata.VolumesMetadataTest):
    round_trip = True
