# SPDX-License-Identifier: Apache-2.0
"""Full pods: bindings move, volumes go to the new pod, and headroom stays free."""

import threading

import sqlalchemy

from trio2o.db import bindings
from trio2o.db.records import PodUsage
from trio2o.lab.emulated.faults import Refuse
from trio2o.tests.functional.scheduling.base import SchedulingTest


class TestMaxCount(SchedulingTest):
    options = {'quota': {'instances': 2}}

    def test_max_count_is_reduced_to_quota_before_scheduling(self):
        """Nova's API also reduces the number before it schedules."""
        self.capacity('Pod1', 2)
        self.collect()
        self.assertEqual('Pod1', self.pod_of(self.boot(min_count=1, max_count=100000)))
        answer = self.boot(min_count=1, max_count=100000)
        self.assertEqual(403, answer.status)
        self.assertIn('Quota exceeded for instances', answer.fault)


class TestFullPods(SchedulingTest):
    def setUp(self):
        super().setUp()
        self.capacity('Pod1', 2)
        self.collect()

    def test_full_pod_and_binding_moves_to_next_pod(self):
        self.assertEqual(['Pod1', 'Pod1'], [self.pod_of(self.boot()) for _ in range(2)])
        self.assertEqual('Pod1', self.pod_of(self.volume()))
        # Without a new reading of usage, the gateway counts the servers that it created.
        self.assertEqual('Pod2', self.pod_of(self.boot()))
        self.assertEqual([('Pod1', '', False), ('Pod2', '', True)], self.bindings(history=True))
        self.assertEqual([('Pod2', '', True)], self.bindings())
        self.assertEqual('Pod2', self.pod_of(self.volume()))
        self.collect()
        self.assertEqual('Pod2', self.pod_of(self.boot()))
        self.cloud.pod('Pod1').nova.settle(everything=True)
        statuses = {server['vm_state'] for server in self.cloud.pod('Pod1').nova.servers.values()}
        self.assertEqual({'active'}, statuses)

    def test_servers_of_one_project_count_against_capacity_for_others(self):
        self.assertEqual(['Pod1', 'Pod1'], [self.pod_of(self.boot()) for _ in range(2)])
        self.assertEqual('Pod2', self.pod_of(self.boot(as_='alt')))

    def test_freed_capacity_does_not_move_binding_back(self):
        first = [self.boot() for _ in range(2)][0]
        self.boot()
        self.nova.delete(f'/servers/{first["server"]["id"]}')
        self.collect()
        self.assertEqual('Pod2', self.pod_of(self.boot()))

    def test_pod_without_capacity_for_min_count_is_skipped(self):
        self.assertEqual('Pod2', self.pod_of(self.boot(min_count=3)))

    def test_all_pods_of_zone_full_and_create_is_503(self):
        for pod in ('Pod2', 'Pod3'):
            self.capacity(pod, 0)
        self.collect()
        self.assertEqual(['Pod1', 'Pod1'], [self.pod_of(self.boot()) for _ in range(2)])
        answer = self.boot()
        self.assertEqual(503, answer.status)
        self.assertIn('az1', answer.fault)
        self.assertIsNone(answer.headers.get('Retry-After'))
        self.assertEqual('Pod4', self.pod_of(self.boot('')))

    def test_create_does_not_query_placement(self):
        self.cloud.lab.clear_logs()
        self.boot()
        self.assertEqual([], list(self.cloud.pod('Pod1').placement.requests))

    def test_unreadable_usage_keeps_last_reading_and_missing_usage_counts_as_free(self):
        self.capacity('Pod1', 0)
        self.cloud.pod('Pod1').placement.faults.add(Refuse())
        self.collect()
        self.assertEqual('Pod1', self.pod_of(self.boot()), 'the last reading counts')
        with self.cloud.runtime.db.writer() as connection:
            connection.execute(sqlalchemy.delete(PodUsage.__table__))
        self.cloud.runtime.registry.refresh()
        self.assertEqual('Pod1', self.pod_of(self.boot()))


class TestStaleUsage(SchedulingTest):
    options = {'scheduler': {'usage_max_age': 0}}

    def test_full_pod_with_stale_usage_gets_create(self):
        self.capacity('Pod1', 0)
        self.collect()
        self.assertEqual('Pod1', self.pod_of(self.boot()))


class TestHeadroom(SchedulingTest):
    options = {'scheduler': {'headroom': 'vcpu:50%,gigabytes:10'}}

    def test_headroom_option_keeps_capacity_free_in_all_pods(self):
        self.capacity('Pod1', 4)
        self.collect()
        self.assertEqual(['Pod1', 'Pod1', 'Pod2'], [self.pod_of(self.boot()) for _ in range(3)])

    def test_headroom_of_pod_overrides_option(self):
        self.capacity('Pod1', 4)
        self.cloud.set_pod('Pod1', headroom={'VCPU': 1})
        self.collect()
        self.assertEqual(['Pod1'] * 3 + ['Pod2'], [self.pod_of(self.boot()) for _ in range(4)])

    def test_headroom_keeps_gigabytes_free(self):
        self.cloud.pod('Pod1').cinder.capacity_gb = 100
        self.collect()
        self.assertEqual('Pod1', self.pod_of(self.volume(size=60)))
        self.assertEqual('Pod2', self.pod_of(self.volume(size=31)))


class TestRaces(SchedulingTest):
    def test_first_creates_at_once_end_with_one_binding(self):
        made = []

        def create(number):
            made.append(self.boot() if number % 2 else self.volume())

        threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pods = {self.pod_of(answer) for answer in made}
        self.assertEqual(1, len(pods))
        current = bindings.current(self.cloud.runtime.db, self.cloud.project_id())
        self.assertEqual(1, len(current))

    def test_moves_at_once_end_with_one_binding(self):
        self.boot()
        self.cloud.set_pod('Pod1', state='draining')
        threads = [threading.Thread(target=self.boot) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([('Pod1', '', False), ('Pod2', '', True)], self.bindings(history=True))
