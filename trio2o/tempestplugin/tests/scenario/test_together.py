# SPDX-License-Identifier: Apache-2.0
"""Resources that belong together are in one pod: a server goes to the pod of its volume, or the create is refused."""

from __future__ import annotations

from tempest import config
from tempest.common import waiters
from tempest.lib import decorators
from tempest.lib import exceptions as lib_exc

from trio2o.tempestplugin.tests import base

CONF = config.CONF


class TestTogether(base.BaseScenario):
    @decorators.attr(type='slow')
    @decorators.idempotent_id('5bb93071-6fa2-405e-8ec2-83605a705505')
    def test_server_boots_in_pod_of_its_volume(self) -> None:
        """The request names no zone; the volume decides it."""
        for zone in (self.second_zone, self.first_zone):
            volume = self.create_volume(availability_zone=zone, imageRef=CONF.compute.image_ref)
            device = {
                'uuid': volume['id'],
                'source_type': 'volume',
                'destination_type': 'volume',
                'boot_index': 0,
                'delete_on_termination': False,
            }
            server = self.create_server(image_id='', block_device_mapping_v2=[device])
            self.assertEqual(zone, server['OS-EXT-AZ:availability_zone'])
            self.assertEqual(self.pod_of(volume['id']), self.pod_of(server['id']))

    @decorators.idempotent_id('6ac84182-70b3-416f-9fd3-947160816606')
    def test_volume_is_attached_and_detached_in_one_pod(self) -> None:
        server = self.create_server(availability_zone=self.second_zone)
        volume = self.create_volume(availability_zone=self.second_zone)
        self.servers.attach_volume(server['id'], volumeId=volume['id'])
        waiters.wait_for_volume_resource_status(self.volumes, volume['id'], 'in-use')
        self.servers.detach_volume(server['id'], volume['id'])
        waiters.wait_for_volume_resource_status(self.volumes, volume['id'], 'available')

    @decorators.attr(type='negative')
    @decorators.idempotent_id('79d95293-81c4-4280-80e4-a58271927707')
    def test_attachment_across_pods_is_refused(self) -> None:
        """Refused before anything is touched, and both are named."""
        server = self.create_server(availability_zone=self.first_zone)
        volume = self.create_volume(availability_zone=self.second_zone)
        refused = self.assertRaises(
            lib_exc.BadRequest, self.servers.attach_volume, server['id'], volumeId=volume['id']
        )
        self.assertIn(server['id'], str(refused))
        self.assertIn(volume['id'], str(refused))
        self.assertEqual('available', self.volumes.show_volume(volume['id'])['volume']['status'])

    @decorators.attr(type='negative')
    @decorators.idempotent_id('88ea63a4-92d5-4391-91f5-b69382a38808')
    def test_boot_from_volumes_of_two_pods_is_refused(self) -> None:
        volumes = [self.create_volume(availability_zone=zone) for zone in (self.first_zone, self.second_zone)]
        devices = [
            {'uuid': volume['id'], 'source_type': 'volume', 'destination_type': 'volume', 'boot_index': index}
            for index, volume in enumerate(volumes)
        ]
        self.assertRaises(
            lib_exc.BadRequest, self.create_server, image_id='', block_device_mapping_v2=devices, wait_until=None
        )
