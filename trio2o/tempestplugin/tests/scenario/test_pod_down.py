# SPDX-License-Identifier: Apache-2.0
"""The cloud works while a pod is down, and the pod's resources are listed again when it is back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

from tempest import config
from tempest.lib import decorators
from tempest.lib import exceptions as lib_exc
from tempest.lib.common import api_microversion_fixture

from trio2o.tempestplugin.tests import base

CONF = config.CONF


@decorators.serial
class TestPodDown(base.BaseScenario):
    """Run serially, because all servers in the pod are unreachable meanwhile."""

    @classmethod
    def skip_checks(cls) -> None:
        super().skip_checks()
        if not CONF.trio2o.maintenance_tests:
            raise cls.skipException('pods are not to be disturbed ([trio2o] maintenance_tests)')

    @classmethod
    def resource_setup(cls) -> None:
        super().resource_setup()
        alone = [zone for zone, pods in sorted(cls.zones.items()) if len(pods) == 1]
        if not alone:
            raise cls.skipException('a zone of one pod is needed')
        cls.zone = alone[-1]
        cls.pod = cls.zones[cls.zone][0]
        cls.other_zone = next(zone for zone in sorted(cls.zones) if zone != cls.zone)

    def maintain(self) -> None:
        self.admin.update_pod(self.pod['pod_id'], state='maintenance', reason='a tempest test')

    def bring_back(self) -> None:
        self.admin.update_pod(self.pod['pod_id'], state='enabled', reason='')

    def minimal_records(self) -> dict[str, str]:
        """List the servers as from 2.69 on, where those of an unreachable pod have the status UNKNOWN.

        :returns: status by id
        """
        with api_microversion_fixture.APIMicroversionFixture(compute_microversion='2.69'):
            _, body = self.servers.get('servers/detail')
        return {server['id']: server['status'] for server in json.loads(body)['servers']}

    def is_taken(self) -> bool:
        """Create a server in the zone, and return whether that was possible. A valid request is refused with 503."""
        try:
            self.create_server(availability_zone=self.zone, wait_until=None)
        except lib_exc.UnexpectedResponseCode as refused:
            self.assertEqual(503, refused.resp.status)
            return False
        return True

    # Each process of the gateway notices a changed pod by itself, within some seconds.

    def check_the_zone_takes_nothing(self) -> None:
        self.until(lambda: not self.is_taken(), f'zone {self.zone} takes servers still')

    def check_the_zone_takes_servers(self) -> None:
        self.until(self.is_taken, f'zone {self.zone} takes no servers yet')

    def check_down_and_back(self, take_down: Callable[[], None], bring_back: Callable[[], None]) -> None:
        there = self.create_server(availability_zone=self.zone)
        elsewhere = self.create_server(availability_zone=self.other_zone)
        take_down()
        self.addCleanup(bring_back)
        self.until(lambda: self.minimal_records().get(there['id']) == 'UNKNOWN', f'{there["id"]} is not UNKNOWN')
        self.assertEqual('ACTIVE', self.minimal_records()[elsewhere['id']])
        self.create_server(availability_zone=self.other_zone)
        self.check_the_zone_takes_nothing()
        bring_back()
        self.until(lambda: self.minimal_records().get(there['id']) == 'ACTIVE', f'{there["id"]} is not back')
        self.assertEqual('ACTIVE', self.servers.show_server(there['id'])['server']['status'])
        self.check_the_zone_takes_servers()

    @decorators.attr(type='slow')
    @decorators.idempotent_id('b51d96d7-c508-46c4-84c8-e9c6b5d6bb11')
    def test_pod_in_maintenance_lists_servers_as_unknown(self) -> None:
        self.check_down_and_back(self.maintain, self.bring_back)

    @decorators.attr(type='slow')
    @decorators.idempotent_id('c42ea7e8-d619-47d5-95d9-fad7c6e7cc12')
    def test_unreachable_pod_lists_servers_as_unknown(self) -> None:
        stop, start = CONF.trio2o.stop_pod_command, CONF.trio2o.start_pod_command
        if not (stop and start):
            raise self.skipException('no command takes a pod down ([trio2o] stop_pod_command, start_pod_command)')

        def run(command: str) -> None:
            subprocess.run(command.format(pod=self.pod['pod_name']), shell=True, check=True)

        self.check_down_and_back(lambda: run(stop), lambda: run(start))

    @decorators.idempotent_id('d33fb8f9-e72a-48e6-86ea-0be8d7f8dd13')
    def test_disabled_pod_keeps_its_resources(self) -> None:
        there = self.create_server(availability_zone=self.zone)
        self.admin.update_pod(self.pod['pod_id'], state='disabled', reason='a tempest test')
        self.addCleanup(self.bring_back)
        self.assertEqual('ACTIVE', self.servers.show_server(there['id'])['server']['status'])
        self.check_the_zone_takes_nothing()
        self.bring_back()
        self.check_the_zone_takes_servers()
