# SPDX-License-Identifier: Apache-2.0
"""A process is killed while it reschedules a server, and a job leaves one server of the two."""

from datetime import timedelta

import sqlalchemy

from trio2o.db import jobs, quotas, routings
from trio2o.db.database import utcnow
from trio2o.db.records import JOB_ACTIVE_STATES, Job, MovedResource
from trio2o.lab.emulated.faults import Refuse
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.faults.killing import Process
from trio2o.tests.functional.scheduling.base import RescheduleTest

ACTIVE = {'type': 'settle_reschedule', 'state': JOB_ACTIVE_STATES}


class ReschedulingProcess(Process):
    """A process that is killed at a call to a pod after it has sent the second create.

    :ivar kills: a function of the method and the number of calls after the create
    """

    kills = staticmethod(lambda method, number: False)

    def __init__(self, cloud):
        self.creates = self.after = 0
        super().__init__(cloud)

    def request(self, method, *args, **kwargs):
        self.creates += method == 'POST'
        if self.creates == 2:
            if self.kills(method, self.after):
                self.kill_at(0, is_after=False)
            self.after += 1
        return super().request(method, *args, **kwargs)


class TestKilledReschedule(RescheduleTest):
    def setUp(self):
        super().setUp()
        self.db = self.cloud.runtime.db

    def boot_killed(self, kill, **server):
        """Boot a server in a process that is killed while it reschedules the server. :returns: the tenant's id"""
        process = ReschedulingProcess(self.cloud)
        kill(process)
        top_id = self.boot(**server)['server']['id']
        wait_until(lambda: process.is_dead, 30, 'the process was not killed', 0.05)
        process.close()
        self.addCleanup(Process(self.cloud).close)
        return top_id

    def run_job(self):
        """Run the job as if the time before its next run, and since the last change of a routing, had passed."""
        with self.db.writer() as connection:
            connection.execute(sqlalchemy.update(Job.__table__).values(run_after=utcnow()))
            long_ago = utcnow() - timedelta(hours=1)
            connection.execute(sqlalchemy.update(MovedResource.__table__).values(created_at=long_ago))
        self.cloud.run_jobs()

    def settle(self, rounds=5):
        """Run the job as often as it wants. Tenants list their servers in between."""
        for _round in range(rounds):
            if not jobs.list_(self.db, filters=ACTIVE):
                return
            self.run_job()
            self.nova.get('/servers/detail')
        self.assertEqual([], jobs.list_(self.db, filters=ACTIVE))

    def compare_pods(self):
        for pod_id in self.cloud.pod_ids.values():
            payload = {'pod_id': pod_id, 'is_full': True}
            self.cloud.runtime.jobs.submit('reconcile_routings', pod_id, payload)
        self.cloud.run_jobs()

    def assert_one(self, top_id, pod, status):
        """Check that one server exists, in a pod, and that the tenant and the quota have it once."""
        self.compare_pods()
        held = {name: [each['id'] for each in self.in_pod(name)] for name in ('Pod1', 'Pod2', 'Pod3')}
        routing = routings.get(self.db, 'server', top_id)
        self.assertEqual({'Pod1': [], 'Pod2': [], 'Pod3': [], pod: [routing.bottom_id]}, held)
        self.assertEqual(self.cloud.pod_ids[pod], routing.pod_id)
        shown = [(server['id'], server['status']) for server in self.nova.get('/servers/detail')['servers']]
        self.assertEqual([(top_id, status)], shown)
        usage = quotas.usage(self.db, self.cloud.project_id())
        self.assertEqual(1, usage['instances'].in_use)
        self.assertEqual([], [claim for claim in quotas.list_claims(self.db) if claim.resources])

    def test_killed_before_next_create_and_failed_server_remains(self):
        top_id = self.boot_killed(lambda process: process.kill_at(1, is_after=False, method='POST'))
        with self.db.writer() as connection:
            # The pod can no longer have the create.
            long_ago = (utcnow() - timedelta(hours=1)).isoformat()
            (job,) = jobs.list_(self.db, filters=ACTIVE)
            payload = {**job.payload, 'since': long_ago}
            connection.execute(
                sqlalchemy.update(Job.__table__).where(Job.__table__.c.id == job.id).values(payload=payload)
            )
        self.settle()
        self.assert_one(top_id, 'Pod1', 'ERROR')

    def test_killed_after_next_create_and_new_server_remains(self):
        top_id = self.boot_killed(lambda process: process.kill_at(1, is_after=True, method='POST'))
        self.settle()
        self.assert_one(top_id, 'Pod2', 'ACTIVE')

    def test_killed_after_next_create_and_listed_server_does_not_become_another_one(self):
        top_id = self.boot_killed(lambda process: process.kill_at(1, is_after=True, method='POST'))
        (made,) = self.in_pod('Pod2')
        self.nova.get('/servers')
        self.nova.get('/servers/detail')
        self.assertEqual(200, self.nova.get(f'/servers/{made["id"]}').status)
        self.compare_pods()
        self.assertIsNone(routings.get(self.db, 'server', made['id']))
        self.settle()
        self.assert_one(top_id, 'Pod2', 'ACTIVE')

    def test_killed_between_create_and_change_of_routing_and_new_server_remains(self):
        def kill(process):
            process.kills = lambda method, number: method == 'GET'

        top_id = self.boot_killed(kill)
        self.settle()
        self.assert_one(top_id, 'Pod2', 'ACTIVE')

    def test_killed_after_change_of_routing_and_failed_server_is_deleted(self):
        def kill(process):
            # The first GET after the create reads the failed server, the second one the new server.
            process.kills = lambda method, number: number > 1

        top_id = self.boot_killed(kill)
        self.assertEqual(self.cloud.pod_ids['Pod2'], routings.get(self.db, 'server', top_id).pod_id)
        self.assertEqual((1, 1), (len(self.in_pod('Pod1')), len(self.in_pod('Pod2'))))
        self.settle()
        self.assert_one(top_id, 'Pod2', 'ACTIVE')

    def test_killed_after_delete_and_new_server_remains(self):
        def kill(process):
            process.kill_at(0, is_after=True, method='DELETE')

        top_id = self.boot_killed(kill)
        self.settle()
        self.assert_one(top_id, 'Pod2', 'ACTIVE')

    def test_pods_that_are_down_are_asked_again(self):
        top_id = self.boot_killed(lambda process: process.kill_at(1, is_after=True, method='POST'))
        for pod in ('Pod1', 'Pod2'):
            faults = self.cloud.pod(pod).nova.faults
            faults.add(Refuse())
            (job,) = jobs.list_(self.db, filters=ACTIVE)
            self.run_job()
            self.assertEqual('new', jobs.get(self.db, job.id).state)
            faults.clear()
        self.settle()
        self.assert_one(top_id, 'Pod2', 'ACTIVE')

    def test_failed_server_was_deleted_meanwhile_and_new_one_is_shown(self):
        top_id = self.boot_killed(lambda process: process.kill_at(1, is_after=True, method='POST'))
        self.assertEqual(204, self.nova.delete(f'/servers/{top_id}').status)
        (made,) = self.in_pod('Pod2')
        self.settle()
        self.assertEqual([], self.in_pod('Pod1'))
        self.assert_one(made['id'], 'Pod2', 'ACTIVE')

    def test_process_that_lives_leaves_nothing_for_the_job(self):
        top_id, _bottom_id = self.boot_moved()
        self.wait_for(lambda: not self.in_pod('Pod1'))
        self.wait_until_quiet()
        self.settle()
        self.assert_one(top_id, 'Pod2', 'ACTIVE')

    def test_server_of_another_name_is_recorded_meanwhile(self):
        self.boot_killed(lambda process: process.kill_at(1, is_after=True, method='POST'))
        other = self.cloud.direct('Pod2').post(
            '/servers', {'server': {'name': 'other', 'flavorRef': '1', 'imageRef': self.cloud.lab.image['id']}}
        )['server']['id']
        self.compare_pods()
        self.assertIsNotNone(routings.get(self.db, 'server', other))
