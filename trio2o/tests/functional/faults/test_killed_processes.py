# SPDX-License-Identifier: Apache-2.0
"""A process is killed in the middle of a request, and what the pod made of the request is found out."""

from datetime import timedelta

import sqlalchemy

from trio2o.db import quotas
from trio2o.db.database import utcnow
from trio2o.db.records import QuotaClaim
from trio2o.lab.emulated.faults import Refuse, Status
from trio2o.quota.settle import Settler
from trio2o.tests.functional.faults.killing import Killed, Process
from trio2o.tests.functional.quota.base import QuotaCase


class KilledCase(QuotaCase):
    def setUp(self):
        super().setUp()
        self.server_id, self.volume_id = self.server(zone='az1'), self.volume(zone='az1')
        self.settle()
        self.assertUsed(instances=1, volumes=1, gigabytes=1)

    def kill_after_the_call_of(self, send, *args):
        """Kill the process when the pod has carried out a request, before the answer arrives."""
        self._kill(0, True, '', send, *args)

    def kill_in_create(self, send, calls=0, is_after=True, **given):
        """Kill the process when it has sent a create to a pod, or is about to.

        :param calls: number of pods that get the create before
        """
        self._kill(calls, is_after, 'POST', lambda: send(**given))

    def _kill(self, calls, is_after, method, send, *args):
        process = Process(self.cloud)
        process.kill_at(calls, is_after, method)
        self.assertRaises(Killed, send, *args)
        process.close()
        another = Process(self.cloud)
        self.addCleanup(another.close)

    def expire(self):
        """Let claims be due whose process does not answer any more."""
        with self.db.writer() as connection:
            connection.execute(
                sqlalchemy.update(QuotaClaim.__table__).values(expires_at=utcnow() - timedelta(hours=1))
            )

    def settle_when_due(self):
        long_ago = utcnow() - timedelta(hours=1)
        with self.db.writer() as connection:
            connection.execute(
                sqlalchemy.update(QuotaClaim.__table__).values(created_at=long_ago, expires_at=long_ago)
            )
        Settler(self.cloud.runtime).settle_due()
        self.assertEqual([], quotas.list_claims(self.db))


class TestKilledCreates(KilledCase):
    """The claim names the pod that got the create, so no other pod has to answer before the claim is settled."""

    limits = {'instances': 10, 'volumes': 10, 'gigabytes': 100}

    def setUp(self):
        super().setUp()
        self.statements = []
        sqlalchemy.event.listen(
            self.db.engine, 'before_cursor_execute', lambda *args: self.statements.append(str(args[2]))
        )

    def stop(self, name):
        for service in (self.cloud.pod(name).nova, self.cloud.pod(name).cinder):
            service.faults.add(Refuse())

    def updates_of_claims(self):
        return [each for each in self.statements if each.startswith('UPDATE quota_claims')]

    def test_killed_after_create_was_sent_and_server_is_counted_while_other_pod_is_down(self):
        self.kill_in_create(self.boot, zone='az2')
        self.stop('Pod1')
        self.assertEqual([self.cloud.pod_ids['Pod2']], [claim.pod_id for claim in self.claims()])
        self.expire()
        self.assertEqual(1, Settler(self.cloud.runtime).settle_due())
        self.assertUsed(instances=2, cores=4)

    def test_killed_before_create_was_sent_and_claim_is_released_while_other_pod_is_down(self):
        for send in (self.boot, self.make_volume):
            self.kill_in_create(send, is_after=False, zone='az2')
        self.stop('Pod1')
        self.settle_when_due()
        self.assertUsed(instances=1, volumes=1)

    def test_killed_in_second_pod_and_server_is_counted_while_first_pod_is_down(self):
        self.cloud.set_pod('Pod2', az_name='az1')
        self.cloud.pod('Pod1').nova.faults.add(Status(status=503, times=1, method='POST', path='/servers'))
        self.kill_in_create(self.boot, calls=1, zone='az1')
        self.stop('Pod1')
        self.assertEqual([self.cloud.pod_ids['Pod2']], [claim.pod_id for claim in self.claims()])
        self.expire()
        self.assertEqual(1, Settler(self.cloud.runtime).settle_due())
        self.assertUsed(instances=2, cores=4)

    def test_killed_with_reduced_count_and_servers_are_counted_while_other_pod_is_down(self):
        self.kill_in_create(self.boot, zone='az2', min_count=2, max_count=20)
        self.stop('Pod1')
        self.expire()
        self.assertEqual(1, Settler(self.cloud.runtime).settle_due())
        self.assertUsed(instances=10, cores=20)

    def test_answered_creates_name_their_pod_without_further_statement(self):
        self.boot(zone='az2')
        self.make_volume(zone='az1')
        self.assertEqual([], self.updates_of_claims())


class TestWithLimits(KilledCase):
    limits = {'instances': 10, 'volumes': 10, 'gigabytes': 100}

    def test_deleted_volume_is_no_longer_counted(self):
        self.kill_after_the_call_of(self.cloud.cinder.delete, f'/volumes/{self.volume_id}')
        self.settle_when_due()
        self.assertUsed(instances=1, volumes=0, gigabytes=0)

    def test_deleted_server_is_no_longer_counted(self):
        self.kill_after_the_call_of(self.cloud.nova.delete, f'/servers/{self.server_id}')
        self.settle_when_due()
        self.assertUsed(instances=0, volumes=1)

    def test_extended_volume_is_counted(self):
        path = f'/volumes/{self.volume_id}/action'
        self.kill_after_the_call_of(self.cloud.cinder.post, path, {'os-extend': {'new_size': 7}})
        self.settle_when_due()
        self.assertUsed(volumes=1, gigabytes=7)

    def test_refused_delete_leaves_no_claim(self):
        self.pod = self.cloud.pod('Pod1')
        self.pod.cinder.volumes[self.volume_id]['status'] = 'in-use'
        self.assertEqual(400, self.cloud.cinder.delete(f'/volumes/{self.volume_id}').status)
        self.assertEqual([], quotas.list_claims(self.db))


class TestWithoutLimits(TestWithLimits):
    limits = {}
