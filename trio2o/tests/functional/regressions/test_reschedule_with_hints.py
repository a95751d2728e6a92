# SPDX-License-Identifier: Apache-2.0
"""A server with hints under ``OS-SCH-HNT:scheduler_hints`` was rescheduled, as only the other key was looked at."""

from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.scheduling.base import SchedulingTest


class TestHintsUnderEitherKey(SchedulingTest):
    options = {'scheduler': {'reschedule_on_no_valid_host': True}}

    def status(self, server_id):
        return self.nova.get(f'/servers/{server_id}')['server']['status']

    def test_server_with_hints_is_not_rescheduled(self):
        self.capacity('Pod1', 0)
        image = self.cloud.lab.image['id']
        for key in ('os:scheduler_hints', 'OS-SCH-HNT:scheduler_hints'):
            server = {'name': 'x', 'flavorRef': '1', 'imageRef': image, 'availability_zone': 'az1'}
            answer = self.nova.post('/servers', {'server': server, key: {'query': '[]'}})
            self.assertEqual(202, answer.status, answer.text)
            self.assertEqual(0, self.cloud.runtime.background.delayed, key)
            server_id = answer['server']['id']
            wait_until(lambda server_id=server_id: self.status(server_id) == 'ERROR', 30, 'no ERROR', 0.05)
        self.assertEqual({}, dict(self.cloud.pod('Pod2').nova.servers))
