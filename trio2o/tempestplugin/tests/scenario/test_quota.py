# SPDX-License-Identifier: Apache-2.0
"""One quota over all pods: what is in one counts in the other."""

from __future__ import annotations

from tempest.lib import decorators
from tempest.lib import exceptions as lib_exc

from trio2o.tempestplugin.tests import base


class TestQuota(base.BaseScenario):
    """Its project is its own, so nobody else's use counts."""

    @classmethod
    def resource_setup(cls) -> None:
        super().resource_setup()
        cls.project = cls.os_primary.credentials.project_id
        compute, volume = cls.os_admin.quotas_client, cls.os_admin.volume_quotas_client_latest
        compute.update_quota_set(cls.project, instances=2)
        cls.addClassResourceCleanup(compute.delete_quota_set, cls.project)
        volume.update_quota_set(cls.project, volumes=2)
        cls.addClassResourceCleanup(volume.delete_quota_set, cls.project)

    def servers_used(self) -> int:
        limits = self.os_primary.limits_client.show_limits()['limits']['absolute']
        self.assertEqual(2, limits['maxTotalInstances'])
        return int(limits['totalInstancesUsed'])

    @decorators.attr(type='slow')
    @decorators.idempotent_id('e244a9c0-08fb-4a13-9d17-9bf9e8f9ee14')
    def test_servers_in_two_zones_count_for_one_limit(self) -> None:
        first = self.create_server(availability_zone=self.first_zone)
        self.create_server(availability_zone=self.second_zone)
        self.assertEqual(2, self.servers_used())
        for zone in (self.first_zone, self.second_zone):
            self.assertRaises(lib_exc.Forbidden, self.create_server, availability_zone=zone, wait_until=None)
        self.delete_server(self.servers, first['id'])
        self.until(lambda: self.servers_used() == 1, 'the quota of a deleted server is not given back')
        self.create_server(availability_zone=self.second_zone)
        self.assertEqual(2, self.servers_used())

    @decorators.idempotent_id('f355bad1-190c-4b24-8e28-acfaf90aff15')
    def test_volumes_in_two_zones_count_for_one_limit(self) -> None:
        first = self.create_volume(availability_zone=self.first_zone)
        self.create_volume(availability_zone=self.second_zone)
        for zone in (self.first_zone, self.second_zone):
            self.assertRaises(lib_exc.OverLimit, self.create_volume, availability_zone=zone)
        self.delete_volume(self.volumes, first['id'])

        def is_given_back() -> bool:
            shown = self.os_primary.volume_limits_client_latest.show_limits()['limits']['absolute']
            return bool(shown['totalVolumesUsed'] == 1)

        self.until(is_given_back, 'the quota of a deleted volume is not given back')
        self.create_volume(availability_zone=self.second_zone)
