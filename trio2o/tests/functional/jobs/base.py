# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of this folder: a gateway whose jobs run when the test runs them."""

import dataclasses

import testtools

from trio2o.db import jobs as db_jobs
from trio2o.db import replicas
from trio2o.replication.replicator import Replicator
from trio2o.tests.fixtures.cloud import GatewayFixture


class JobsCase(testtools.TestCase):
    """Two synchronized pods unless ``run_jobs`` is False; nothing sleeps, and retries are due at once."""

    pods = 2

    def setUp(self):
        super().setUp()
        self.slept = []
        self.cloud = self.gateway()
        self.cloud.lab.clear_logs()

    def gateway(self, run_jobs=True, **options):
        # Breakers stay closed: faults decide which pods are unreachable.
        settings = {
            'xjob': {'retry_seconds': 0, 'max_attempts': 3},
            'pods.refresh_seconds': 0.0,
            'pods.breaker_failures': 1000,
            'pods.replicate_timeout': 2,
        }
        cloud = self.useFixture(GatewayFixture(self.pods, run_jobs=run_jobs, **(settings | options)))
        runtime = cloud.runtime
        replicator = Replicator(
            cloud.conf,
            runtime.db,
            runtime.registry,
            runtime.client,
            runtime.identity,
            runtime.pod_threads,
            runtime.jobs,
            sleep=self.sleep,
        )
        cloud.runtime = dataclasses.replace(runtime, replicator=replicator)
        cloud._clients.clear()
        return cloud

    def sleep(self, seconds):
        self.slept.append(seconds)

    # -- what there is --

    def nova(self, name):
        return self.cloud.pod(name).nova

    def cinder(self, name):
        return self.cloud.pod(name).cinder

    def flavors(self, flavor_id):
        """The records of a flavor, one for each pod, or None."""
        return [pod.nova.flavors.get(flavor_id) for pod in self.cloud.lab.pods.values()]

    def types(self, name):
        """The records of a volume type, one for each pod, or None."""
        return [
            next((each for each in pod.cinder.types.values() if each['name'] == name), None)
            for pod in self.cloud.lab.pods.values()
        ]

    def replica(self, kind, key, pod):
        """The replica of an object in a pod, or None."""
        db = self.cloud.runtime.db
        obj = replicas.get_object(db, kind, key)
        found = replicas.list_replicas(db, object_id=obj.id, pod_id=self.cloud.pod_ids[pod])
        return found[0] if found else None

    def out_of_sync(self, pod):
        """Keys of the objects that are out of sync in a pod."""
        rows = replicas.out_of_sync(self.cloud.runtime.db, self.cloud.pod_ids[pod])
        return [obj.key for obj, _replica in rows]

    def jobs(self, state='new'):
        return [job.type for job in db_jobs.list_(self.cloud.runtime.db, filters={'state': state})]

    def repair(self, name):
        """Repair a pod now."""
        view = self.view(name)
        return self.cloud.runtime.replicator.pods.repair(view)

    def view(self, name):
        return self.cloud.runtime.registry.refresh().by_id[self.cloud.pod_ids[name]]

    # -- what an admin does --

    def make_flavor(self, status=200, **given):
        body = {'name': 'f', 'ram': 64, 'vcpus': 1, 'disk': 1} | given
        answer = self.cloud.nova.post('/flavors', {'flavor': body}, as_='admin', version='2.61')
        self.assertEqual(status, answer.status, answer.text)
        return answer.json.get('flavor', answer.json)

    def make_type(self, status=200, **given):
        body = {'volume_type': {'name': 'gold'} | given}
        answer = self.cloud.cinder.post('/types', body, as_='admin')
        self.assertEqual(status, answer.status, answer.text)
        return answer.json.get('volume_type', answer.json)

    def assertRan(self, state, *types):
        """Run all jobs that are due, and assert their types and final state."""
        ran = self.cloud.run_jobs()
        self.assertEqual(sorted(types), sorted({job.type for job in ran}))
        self.assertEqual({state}, {job.state for job in ran}, [job.error for job in ran])
