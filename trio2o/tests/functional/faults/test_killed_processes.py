# SPDX-License-Identifier: Apache-2.0
"""A process is killed in the middle of a request, and what the pod made of the request is found out."""

from datetime import timedelta

import sqlalchemy

from trio2o.db import quotas
from trio2o.db.records import QuotaClaim
from trio2o.db.session import utcnow
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
        process = Process(self.cloud)
        process.kill_at(0, is_after=True)
        self.assertRaises(Killed, send, *args)
        process.close()
        another = Process(self.cloud)
        self.addCleanup(another.close)

    def settle_when_due(self):
        long_ago = utcnow() - timedelta(hours=1)
        with self.db.writer() as session:
            session.execute(sqlalchemy.update(QuotaClaim.__table__).values(created_at=long_ago, expires_at=long_ago))
        Settler(self.cloud.runtime).settle_due()
        self.assertEqual([], quotas.list_claims(self.db))


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
