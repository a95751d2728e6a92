# SPDX-License-Identifier: Apache-2.0
"""A drain with many moves at a time, by several workers, of pods that fail.

``TRIO2O_DRAINED_SERVERS=500`` drains as many servers, 50 at a time.
"""

import os
import random

from trio2o.db import moves
from trio2o.lab.emulated.faults import Drop, DropAfter, Refuse, Status, StatusAfter
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.move_groups.base import GroupsCase
from trio2o.xjob.manager import JobManager

SERVERS = int(os.environ.get('TRIO2O_DRAINED_SERVERS', '12'))
PARALLEL = min(50, SERVERS // 3)
WORKERS = 3
#: Each passes by itself, so that every move succeeds in the end.
FAULTS = (Drop, DropAfter, Refuse, Status, StatusAfter)
#: Seconds for each server, on a host with other work.
SECONDS = 10


class TestScale(GroupsCase):
    def gateway(self, **options):
        limits = {'moves.max_per_pod': PARALLEL, 'moves.max_per_project': PARALLEL, 'moves.attempts': 1000}
        return super().gateway(**{'moves.settle_seconds': 0, 'pods.read_timeout': 1, **limits, **options})

    def break_something(self):
        """Let one of the next requests to a pod fail. :returns: what takes the fault away if none did"""
        pod = self.cloud.pod(self.random.choice(('Pod1', 'Pod2', 'Pod3')))
        service = self.random.choice((pod.nova, pod.cinder))
        fault = self.random.choice(FAULTS)(times=1, after=self.random.randrange(4))
        service.faults.add(fault)
        return lambda: service.faults.remove(fault)

    def in_use(self):
        shown = self.cloud.nova.get(f'/os-quota-sets/{self.cloud.project_id()}/detail')['quota_set']
        return {name: shown[name]['in_use'] for name in ('instances', 'cores', 'ram')}

    def listed(self):
        return sorted(server['id'] for server in self.cloud.nova.get('/servers')['servers'])

    def test_pod_is_emptied_within_the_limits_while_pods_fail(self):
        self.random = random.Random(1)
        volumes = [self.volume() for _ in range(SERVERS // 4)]
        servers = [self.server(volumes=volumes[at : at + 1]) for at in range(SERVERS)]
        before, listed = self.in_use(), self.listed()
        self.assertEqual(sorted(servers), listed)
        group = self.begin(
            kind='drain',
            source_pod='Pod1',
            target_pods=['Pod2', 'Pod3'],
            parallel=PARALLEL,
            max_failures=0,
            canary=1,
            confirm_seconds=0,
        )
        workers = [JobManager(self.cloud.conf, self.cloud.runtime) for _ in range(WORKERS)]
        most = turns = 0

        def ended():
            nonlocal most, turns
            repair = self.break_something() if self.random.random() < 0.3 else lambda: None
            self.random.choice(workers).run_one()
            repair()
            self.cloud.runtime.registry.refresh()
            under_way = len(moves.under_way(self.db))
            self.assertLessEqual(under_way, PARALLEL)
            most, turns = max(most, under_way), turns + 1
            if turns % 50 == 0:
                self.assertEqual(listed, self.listed())
                self.assertEqual(before, self.in_use())
            shown = self.group(group)
            self.assertEqual('running', shown['status'] if shown['ended_at'] is None else 'running', shown)
            return shown if shown['ended_at'] is not None else None

        shown = wait_until(ended, SECONDS * SERVERS, lambda: f'no end: {self.group(group)}', interval=0)
        self.assertEqual(('completed', SERVERS + len(volumes)), (shown['status'], shown['counts']['moved']), shown)
        self.assertEqual(PARALLEL, most)
        self.assertLessEqual({self.place('server', each)[0] for each in servers}, {'Pod2', 'Pod3'})
        self.assertEqual((before, listed), (self.in_use(), self.listed()))
        left = self.inventory('Pod1')
        self.assertEqual((set(), set(), set()), (left['servers'], left['volumes'], left['snapshots']))
        deleted = self.cloud.api.delete(f'/pods/{self.cloud.pod_ids["Pod1"]}')
        self.assertIn(deleted.status, (200, 202, 204), deleted.text)
