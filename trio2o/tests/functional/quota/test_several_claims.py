# SPDX-License-Identifier: Apache-2.0
"""Creates without an answer while further claims of the project are open: each resource is counted once."""

from datetime import timedelta

import sqlalchemy

from trio2o.db import quotas, routings
from trio2o.db.database import utcnow
from trio2o.db.quotas import Settlement
from trio2o.db.records import NewRouting, QuotaClaim
from trio2o.lab.emulated.faults import DropAfter, Status
from trio2o.quota.claims import ClaimRequest
from trio2o.quota.settle import Settler
from trio2o.tests.functional.quota.base import QuotaCase

SERVER = {'instances': 1, 'cores': 2, 'ram': 512}


class SeveralClaimsCase(QuotaCase):
    limits = {'instances': 10, 'cores': 40, 'volumes': 10, 'gigabytes': 100, 'server_groups': 10}

    def lose_answers(self, *pods, times=1):
        """Let pods carry out creates whose answers are lost."""
        for name in pods:
            for service in (self.cloud.pod(name).nova, self.cloud.pod(name).cinder):
                service.faults.add(DropAfter(times=times, method='POST', path='/(servers|volumes|os-server-groups)$'))

    def fail_before_work(self, pod='Pod1'):
        """Let a pod answer the next create of a server as if it may have carried it out, and do nothing."""
        self.cloud.pod(pod).nova.faults.add(Status(status=502, times=1, method='POST', path='/servers$'))

    def claimed(self, project=None):
        return sorted(claim.resources.get('cores') for claim in self.claims(project))

    def let_claims_age(self):
        with self.db.writer() as connection:
            created_at = utcnow() - timedelta(hours=1)
            connection.execute(sqlalchemy.update(QuotaClaim.__table__).values(created_at=created_at))


class TestUnansweredCreates(SeveralClaimsCase):
    def test_servers_of_two_claims_are_counted_once(self):
        self.lose_answers('Pod1', times=2)
        for _ in range(2):
            self.boot(status=504, zone='az1')
        self.settle()
        self.assertUsed(instances=2, cores=4, ram=1024)
        self.assertEqual([], self.claims())

    def test_servers_in_two_pods_are_counted_once(self):
        self.lose_answers('Pod1', 'Pod2')
        for zone in ('az1', 'az2'):
            self.boot(status=504, zone=zone)
        self.settle()
        self.assertUsed(instances=2, cores=4, ram=1024)
        self.assertEqual([], self.claims())

    def test_server_that_exists_ends_the_claim_of_its_flavor(self):
        self.make_flavor('f8', vcpus=8, ram=1024)
        self.fail_before_work()
        self.boot(status=504, zone='az1')
        self.lose_answers('Pod1')
        self.boot(status=504, zone='az1', flavor='f8')
        self.settle()
        self.assertEqual({'instances': (1, 1), 'cores': (8, 2), 'ram': (1024, 512)}, self.used())
        self.let_claims_age()
        self.settle()
        self.assertUsed(instances=1, cores=8, ram=1024)

    def test_one_of_two_servers_exists_and_one_claim_stays(self):
        self.lose_answers('Pod1')
        self.boot(status=504, zone='az1')
        self.fail_before_work()
        self.boot(status=504, zone='az1')
        for _ in range(2):
            self.settle()
            self.assertEqual((1, 1), self.used()['instances'])
        self.let_claims_age()
        self.settle()
        self.assertUsed(instances=1, cores=2, ram=512)

    def test_server_of_another_user_does_not_end_the_claim(self):
        self.fail_before_work()
        self.boot(status=504, zone='az1')
        other = ClaimRequest(self.project, 'another user', SERVER, resource_type='server')
        self.cloud.runtime.quota.claim(other)
        self.cloud.lab.add_servers('Pod1', 'alt', 1)
        self.settle()
        self.assertEqual((0, 2), self.used()['instances'])

    def test_volumes_of_two_sizes_are_counted_once(self):
        self.lose_answers('Pod1', times=2)
        for size in (3, 5):
            self.make_volume(status=504, size=size, zone='az1')
        self.settle()
        self.assertUsed(volumes=2, gigabytes=8, volumes___DEFAULT__=2, gigabytes___DEFAULT__=8)
        self.assertEqual([], self.claims())

    def test_server_groups_are_counted_once(self):
        self.lose_answers('Pod1', 'Pod2', times=2)
        for name in 'ab':
            body = {'server_group': {'name': name, 'policies': ['anti-affinity']}}
            self.assertEqual(504, self.cloud.nova.post('/os-server-groups', body).status)
        self.settle()
        self.assertUsed(server_groups=2)
        self.assertEqual([], self.claims())

    def test_server_that_boots_from_new_volume_is_counted_with_it_once(self):
        device = {
            'source_type': 'image',
            'uuid': self.cloud.lab.image['id'],
            'destination_type': 'volume',
            'volume_size': 4,
            'boot_index': 0,
        }
        self.lose_answers('Pod1', times=2)
        for _ in range(2):
            self.boot(status=504, zone='az1', block_device_mapping_v2=[device])
        made = len(self.cloud.pod('Pod1').cinder.volumes)
        self.settle()
        self.assertEqual((2, 0), self.used()['instances'])
        self.assertEqual((made, 2 - made), self.used()['volumes'])


class TestFoundBeforeSettled(SeveralClaimsCase):
    """Lists and lookups record a server before its claim is settled."""

    def setUp(self):
        super().setUp()
        self.lose_answers('Pod1', times=2)
        for _ in range(2):
            self.boot(status=504, zone='az1')
        self.ids = sorted(self.cloud.pod('Pod1').nova.servers)

    def test_servers_in_list_are_counted_once(self):
        self.assertEqual(2, len(self.cloud.nova.get('/servers/detail')['servers']))
        self.cloud.runtime.background.submit(lambda: None).result()
        self.assertEqual(2, len(routings.get_many(self.db, 'server', self.ids)))
        self.assertUsed(instances=2, cores=4, ram=1024)
        self.assertEqual([], self.claims())

    def test_server_shown_by_id_is_counted_once(self):
        self.assertEqual(200, self.cloud.nova.get(f'/servers/{self.ids[0]}').status)
        self.assertEqual({'instances': (1, 1), 'cores': (2, 2), 'ram': (512, 512)}, self.used())
        self.settle()
        self.assertUsed(instances=2, cores=4, ram=1024)

    def test_servers_found_by_reconciliation_are_counted_once(self):
        pod_id = self.cloud.pod_ids['Pod1']
        self.cloud.runtime.jobs.submit('reconcile_routings', pod_id, {'pod_id': pod_id})
        self.cloud.run_jobs()
        self.assertUsed(instances=2, cores=4, ram=1024)
        self.assertEqual([], self.claims())


class TestRequestInFlight(SeveralClaimsCase):
    """The answer to a create is on its way while an earlier create, whose answer was lost, is settled."""

    def setUp(self):
        super().setUp()
        self.fail_before_work()
        self.boot(status=504, zone='az1')
        self.pod_id = self.cloud.pod_ids['Pod1']
        user_id = self.cloud.lab.user_id('demo')
        request = ClaimRequest(self.project, user_id, SERVER, resource_type='server', pod_id=self.pod_id)
        self.claim = self.cloud.runtime.quota.claim(request)
        body = {'name': 's', 'flavorRef': 'f1', 'imageRef': self.cloud.lab.image['id']}
        self.server_id = self.cloud.direct('Pod1').post('/servers', {'server': body})['server']['id']

    def settle_earlier(self):
        (self.earlier,) = [claim for claim in self.claims() if claim.id != self.claim.id]
        Settler(self.cloud.runtime).settle(self.earlier)

    def answer(self):
        """Record the server as the request does when it gets the answer."""
        new = NewRouting('server', self.server_id, self.pod_id, self.project, deltas=SERVER)
        self.cloud.runtime.locator.record(new, Settlement(self.claim.row))

    def test_new_server_ends_only_the_claim_of_its_request(self):
        self.settle_earlier()
        self.assertEqual({'instances': (0, 2), 'cores': (0, 4), 'ram': (0, 1024)}, self.used())
        self.answer()
        self.assertEqual({'instances': (1, 1), 'cores': (2, 2), 'ram': (512, 512)}, self.used())
        self.assertEqual([self.earlier.id], [claim.id for claim in self.claims()])

    def test_request_creates_nothing_and_server_ends_the_earlier_claim(self):
        self.settle_earlier()
        self.cloud.runtime.quota.release(self.claim)
        self.settle()
        self.assertUsed(instances=1, cores=2, ram=512)
        self.assertEqual([], self.claims())

    def test_list_shows_new_server_and_it_is_counted_once(self):
        self.cloud.nova.get('/servers/detail')
        self.cloud.runtime.background.submit(lambda: None).result()
        self.assertEqual((0, 2), self.used()['instances'])
        self.answer()
        self.assertEqual((1, 1), self.used()['instances'])

    def test_earlier_claim_expires_and_server_is_counted(self):
        self.settle_earlier()
        with self.db.writer() as connection:
            long_ago = utcnow() - timedelta(seconds=self.cloud.conf.quota.claim_seconds + 1)
            connection.execute(sqlalchemy.update(QuotaClaim.__table__).values(created_at=long_ago))
        Settler(self.cloud.runtime).settle(quotas.get_claim(self.db, self.earlier.id))
        self.assertEqual((1, 1), self.used()['instances'])
        self.answer()
        self.assertUsed(instances=1, cores=2, ram=512)
