# SPDX-License-Identifier: Apache-2.0
"""Routings of resources that a pod does not show any more: when they end, and when an operator has to decide."""

import datetime

from trio2o.cmd import pods_status
from trio2o.db import quotas, routings
from trio2o.db.records import DELETED
from trio2o.pods.stopped_comparisons import stopped_comparisons
from trio2o.quota.settle import Settler
from trio2o.tests.functional.quota.base import QuotaCase


class MissingCase(QuotaCase):
    limits = {'instances': 100, 'volumes': 100}
    options = {'xjob': {'retry_seconds': 0, 'max_attempts': 1}}
    servers, volumes = 12, 12

    def setUp(self):
        super().setUp()
        self.pod = self.cloud.pod('Pod1')
        self.pod_id = self.cloud.pod_ids['Pod1']
        self.server_ids = [item['id'] for item in self.cloud.lab.add_servers('Pod1', 'demo', self.servers)]
        self.volume_ids = [item['id'] for item in self.cloud.lab.add_volumes('Pod1', 'demo', self.volumes)]
        self.assertEqual('success', self.reconcile().state)

    def reconcile(self, **body):
        answer = self.cloud.api.post(f'/pods/{self.pod_id}/reconcile', body)
        self.assertEqual(202, answer.status, answer.body)
        job_id = answer.json['job']['id']
        return next(job for job in self.cloud.run_jobs() if job.id == job_id)

    def lose(self, servers=0, volumes=0):
        """Take resources out of the pod, as if another cloud answered in its place."""
        lost = {}
        for own, ids in (
            (self.pod.nova.servers, self.server_ids[:servers]),
            (self.pod.cinder.volumes, self.volume_ids[:volumes]),
        ):
            lost |= {top_id: (own, own.pop(top_id)) for top_id in ids}
        return lost

    def bring_back(self, lost):
        for top_id, (own, item) in lost.items():
            own[top_id] = item

    def live(self, kind='server'):
        ids = {'server': self.server_ids, 'volume': self.volume_ids}[kind]
        return sum(routing.is_live for routing in routings.get_many(self.db, kind, ids).values())

    def stopped(self):
        return stopped_comparisons(self.db, self.cloud.runtime.registry.refresh().pods)


class TestFullComparison(MissingCase):
    def test_few_missing_resources_end(self):
        self.lose(servers=10, volumes=3)
        self.assertEqual('success', self.reconcile().state)
        self.assertEqual((2, 9), (self.live(), self.live('volume')))
        self.assertUsed(instances=2, volumes=9)

    def test_many_missing_resources_stop_comparison_and_end_nothing(self):
        lost = self.lose(servers=11, volumes=1)
        job = self.reconcile()
        self.assertEqual('fail', job.state)
        self.assertIn('11 of 12 servers are missing', job.error)
        self.assertIn('pod reconcile --end-missing', job.error)
        self.assertEqual((12, 11), (self.live(), self.live('volume')))
        self.assertEqual(12, self.used()['instances'][0])
        self.assertIn('11 of 12 servers', self.stopped()[self.pod_id])
        self.bring_back(lost)
        self.assertEqual('success', self.reconcile().state)
        self.assertEqual((12, 12), (self.live(), self.live('volume')))
        self.assertEqual({}, self.stopped())

    def test_operator_ends_many_missing_resources(self):
        self.lose(servers=12, volumes=12)
        self.assertEqual('fail', self.reconcile().state)
        self.assertEqual('success', self.reconcile(end_missing=True).state)
        self.assertEqual((0, 0), (self.live(), self.live('volume')))
        self.assertEqual({}, self.stopped())
        self.assertNotIn('instances', self.used())

    def test_existing_resource_missing_in_list_is_kept_by_operator_too(self):
        hidden = self.pod.nova.servers[self.server_ids[0]]
        hidden['project_id'] = self.cloud.project_id('alt')
        self.reconcile(end_missing=True)
        self.assertEqual(12, self.live())

    def test_resources_being_deleted_by_requests_do_not_stop_comparison(self):
        for volume_id in self.volume_ids:
            self.assertEqual(202, self.cloud.cinder.delete(f'/volumes/{volume_id}').status)
        self.pod.cinder.volumes.clear()
        self.assertEqual('success', self.reconcile().state)
        self.assertEqual(0, self.live('volume'))

    def test_comparison_stopped_and_job_goes_on_reading_changes(self):
        self.lose(servers=12)
        self.assertEqual('fail', self.reconcile().state)
        (server,) = self.cloud.lab.add_servers('Pod1', 'demo')
        self.cloud.runtime.jobs.submit('reconcile_routings', self.pod_id, {'pod_id': self.pod_id})
        self.cloud.run_jobs()
        self.assertTrue(routings.get(self.db, 'server', server['id']).is_live)
        self.assertEqual(12, self.live())
        self.assertIn(self.pod_id, self.stopped())

    def test_stopped_comparison_is_a_warning_of_the_status_command(self):
        self.lose(servers=12)
        self.reconcile()
        health = {each.pod.id: each for each in self.health()}
        self.assertIn('12 of 12 servers are missing', ' '.join(text for _level, text in health[self.pod_id].reasons))

    def health(self):
        runtime = self.cloud.runtime
        pods = runtime.registry.refresh().pods
        limits = pods_status.Thresholds()
        stopped = stopped_comparisons(self.db, pods)
        return pods_status.check_health(runtime.client, runtime.identity, runtime.pod_threads, pods, limits, stopped)


class TestRecount(MissingCase):
    def recount(self):
        self.cloud.api.post(f'/projects/{self.project}/recount')
        return next(job for job in self.cloud.run_jobs() if job.type == 'recount_quota')

    def test_many_missing_resources_stop_recount(self):
        self.lose(servers=11)
        job = self.recount()
        self.assertEqual('fail', job.state)
        self.assertIn('11 of 12 servers are missing', job.error)
        self.assertEqual(12, self.live())

    def test_claim_stays_open_while_many_resources_are_missing(self):
        quota = self.cloud.runtime.quota
        quota.watch_again(self.project, self.pod_id, 'server', self.server_ids[0])
        (claim,) = quotas.list_claims(self.db, project_id=self.project)
        self.lose(servers=12)
        settler = Settler(self.cloud.runtime)
        for _ in range(2):
            settler.settle(claim)
        self.assertEqual(11, self.live())

    def test_resources_marked_deleted_by_mistake_count_again(self):
        then = self.cloud.lab.clock.now() - datetime.timedelta(minutes=5)
        for routing in routings.get_many(self.db, 'server', self.server_ids).values():
            routings.update(self.db, routing.id, state=DELETED, deleted_at=then)
        self.assertNotIn('instances', self.used())
        self.assertEqual('success', self.recount().state)
        self.assertEqual((12, 12), (self.live(), self.used()['instances'][0]))


class TestUserWithoutRole(MissingCase):
    """The user of [service_auth] has lost its role in a pod, which then hides resources of other projects."""

    servers, volumes = 1, 3

    def setUp(self):
        super().setUp()
        self.quota = self.cloud.runtime.quota
        for service in (self.pod.nova, self.pod.cinder):
            service.admin_role = 'cloud_admin'

    def assertKept(self):
        self.assertEqual((1, 3), (self.live(), self.live('volume')))

    def test_full_comparison_ends_nothing(self):
        for body in ({}, {'end_missing': True}):
            self.assertEqual('fail', self.reconcile(**body).state)
            self.assertKept()

    def test_settling_a_change_ends_nothing(self):
        self.quota.watch_again(self.project, self.pod_id, 'server', self.server_ids[0])
        self.quota.watch_again(self.project, self.pod_id, 'volume', self.volume_ids[0])
        for claim in quotas.list_claims(self.db, project_id=self.project):
            self.assertFalse(Settler(self.cloud.runtime).settle(claim))
        self.assertKept()

    def test_volumes_alone_are_kept_too(self):
        self.pod.nova.admin_role = 'admin'
        job = self.reconcile()
        self.assertEqual('fail', job.state)
        self.assertIn('does not take the user of [service_auth] for an administrator', job.error)
        self.assertKept()

    def test_404_to_administrator_of_trio2o_ends_nothing(self):
        path = f'/volumes/{self.volume_ids[0]}'
        self.assertEqual(404, self.cloud.cinder.get(path, as_='admin').status)
        self.assertKept()
