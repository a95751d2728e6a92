# SPDX-License-Identifier: Apache-2.0
"""Tenants see resources that were created in a pod directly, before or after it was registered."""

from __future__ import annotations

from tempest import config
from tempest.lib import decorators
from tempest.lib import exceptions as lib_exc

from trio2o.tempestplugin.tests import base

CONF = config.CONF


class TestAdoption(base.BaseScenario):
    zones_needed = 1
    calls_pods = True

    @classmethod
    def resource_setup(cls) -> None:
        super().resource_setup()
        # The last zone's: a project that was never there is the harder case.
        cls.pod = cls.zones[sorted(cls.zones)[-1]][0]

    @decorators.attr(type='slow')
    @decorators.idempotent_id('97fb74b5-a3e6-44a2-a2a6-c7a493b49909')
    def test_server_of_adopted_pod_is_listed_and_usable(self) -> None:
        early = self.create_server_in_pod(self.pod['pod_name'])
        shown = self.servers.show_server(early['id'])['server']
        self.assertEqual(early['id'], shown['id'])
        self.assertEqual(self.pod['az_name'], shown['OS-EXT-AZ:availability_zone'])
        self.assertEqual(self.pod['pod_name'], self.pod_of(early['id']))
        self.assertIn(early['id'], self.server_ids())
        self.delete_server(self.servers, early['id'])
        self.assertRaises(lib_exc.NotFound, self.servers_of(self.pod['pod_name']).show_server, early['id'])

    @decorators.idempotent_id('a60c85c6-b4f7-45b3-b3b7-d8b5a4c5aa10')
    def test_volume_of_adopted_pod_is_listed_and_usable(self) -> None:
        early = self.create_volume(client=self.volumes_of(self.pod['pod_name']))
        self.assertEqual(early['id'], self.volumes.show_volume(early['id'])['volume']['id'])
        self.assertIn(early['id'], self.volume_ids())
        self.assertEqual(self.pod['pod_name'], self.pod_of(early['id']))
