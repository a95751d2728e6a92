# SPDX-License-Identifier: Apache-2.0
"""One cloud out of several zones: what is made in each is in one list."""

from __future__ import annotations

from tempest.lib import decorators
from tempest.lib import exceptions as lib_exc

from trio2o.tempestplugin.tests import base


class TestZones(base.BaseScenario):
    has_network = True

    @decorators.attr(type=['smoke', 'slow'])
    @decorators.idempotent_id('1f7d1c38-2b6e-4c1a-8a8e-4f2f1c3f1101')
    def test_server_is_created_in_each_zone(self) -> None:
        servers = {zone: self.create_server(availability_zone=zone) for zone in (self.first_zone, self.second_zone)}
        for zone, server in servers.items():
            self.assertEqual(zone, server['OS-EXT-AZ:availability_zone'])
            self.assertIn(self.pod_of(server['id']), [pod['pod_name'] for pod in self.zones[zone]])
        ids = {server['id'] for server in servers.values()}
        self.assertLessEqual(ids, self.server_ids())
        # Page by page, every one comes once.
        page = self.servers.list_servers(limit=1)['servers']
        found = []
        while page:
            found += [server['id'] for server in page]
            page = self.servers.list_servers(limit=1, marker=found[-1])['servers']
        self.assertEqual(len(found), len(set(found)))
        self.assertLessEqual(ids, set(found))

    @decorators.idempotent_id('2e8c0d49-3c7f-4d2b-9b9f-503f2d4f2202')
    def test_volume_is_created_in_each_zone(self) -> None:
        volumes = {zone: self.create_volume(availability_zone=zone) for zone in (self.first_zone, self.second_zone)}
        for zone, volume in volumes.items():
            self.assertEqual(zone, volume['availability_zone'])
        self.assertLessEqual({volume['id'] for volume in volumes.values()}, self.volume_ids())

    @decorators.idempotent_id('3d9b1e5a-4d80-4e3c-8ca0-614f3e5f3303')
    def test_listed_zones_are_those_of_pods(self) -> None:
        shown = self.os_primary.availability_zone_client.list_availability_zones()['availabilityZoneInfo']
        states = {zone['zoneName']: zone['zoneState']['available'] for zone in shown}
        for zone in self.zones:
            self.assertTrue(states[zone], zone)

    @decorators.attr(type='negative')
    @decorators.idempotent_id('4caa2f6b-5e91-4f4d-9db1-725f4f6f4404')
    def test_unknown_zone_is_refused(self) -> None:
        self.assertRaises(lib_exc.BadRequest, self.create_server, availability_zone='trio2o-no-such-zone')
        self.assertRaises(lib_exc.BadRequest, self.create_volume, availability_zone='trio2o-no-such-zone')
