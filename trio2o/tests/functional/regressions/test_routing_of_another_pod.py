# SPDX-License-Identifier: Apache-2.0
"""The answer of a pod ends only the routing to that pod, and a resource that a pod shows has a live routing."""

import datetime

from trio2o.db import routings
from trio2o.db.records import DELETED
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.quota.base import QuotaCase


class TestRoutingOfAnotherPod(QuotaCase):
    limits = {'instances': 10}

    def setUp(self):
        super().setUp()
        self.server_id = self.server(zone='az1')
        self.settle()

    def routing(self):
        return routings.get(self.db, 'server', self.server_id)

    def end(self):
        """Mark the routing deleted as some time ago."""
        then = self.cloud.lab.clock.now() - datetime.timedelta(minutes=2)
        routings.update(self.db, self.routing().id, state=DELETED, deleted_at=then)
        self.cloud.runtime.locator.forget('server', self.server_id)
        self.assertNotIn('instances', self.used())

    def move(self):
        """Move the server to the other pod, and change its routing as another process does."""
        first, second = (self.cloud.pod(name).nova for name in ('Pod1', 'Pod2'))
        self.assertEqual(200, self.cloud.nova.get(f'/servers/{self.server_id}').status)
        second.servers[self.server_id] = first.servers.pop(self.server_id)
        routings.update(self.db, self.routing().id, pod_id=self.cloud.pod_ids['Pod2'])

    def test_old_pod_answers_404_and_request_goes_to_new_pod(self):
        self.move()
        self.assertEqual(200, self.cloud.nova.get(f'/servers/{self.server_id}').status)
        self.assertEqual((True, self.cloud.pod_ids['Pod2']), (self.routing().is_live, self.routing().pod_id))
        self.assertUsed(instances=1)

    def test_old_pod_answers_404_to_delete_and_new_pod_deletes(self):
        self.move()
        self.assertEqual(204, self.cloud.nova.delete(f'/servers/{self.server_id}').status)
        self.assertEqual('deleting', self.cloud.pod('Pod2').nova.servers[self.server_id]['task_state'])

    def test_routing_to_another_pod_or_id_is_not_marked_deleted(self):
        first, second = self.cloud.pod_ids['Pod1'], self.cloud.pod_ids['Pod2']
        self.assertFalse(routings.mark_deleted(self.db, 'server', self.server_id, second, self.server_id))
        self.assertFalse(routings.mark_deleted(self.db, 'server', self.server_id, first, 'another'))
        self.assertUsed(instances=1)
        self.assertTrue(routings.mark_deleted(self.db, 'server', self.server_id, first, self.server_id))

    def test_show_of_resource_marked_deleted_revives_its_routing(self):
        self.end()
        self.assertEqual(200, self.cloud.nova.get(f'/servers/{self.server_id}').status)
        self.assertTrue(self.routing().is_live)
        self.assertUsed(instances=1)

    def test_list_with_resource_marked_deleted_revives_its_routing(self):
        self.end()
        self.server(zone='az1')  # so that the pod is asked
        self.cloud.nova.get('/servers/detail')
        wait_until(lambda: self.routing().is_live, 5, 'the list did not revive the routing', 0.01)
        self.assertUsed(instances=2)

    def test_list_asked_for_before_the_end_revives_nothing(self):
        routings.mark_deleted(self.db, 'server', self.server_id)
        self.cloud.runtime.locator.forget('server', self.server_id)
        self.server(zone='az1')
        self.cloud.nova.get('/servers/detail')
        executor = self.cloud.runtime.background
        executor.submit(len, ()).result()  # what the list submitted has begun before this
        executor.shutdown(wait_seconds=5)
        self.assertFalse(self.routing().is_live)

    def test_missing_resource_marked_deleted_stays_so(self):
        self.end()
        del self.cloud.pod('Pod1').nova.servers[self.server_id]
        self.assertEqual(404, self.cloud.nova.get(f'/servers/{self.server_id}').status)
        self.assertFalse(self.routing().is_live)
