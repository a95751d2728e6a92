# SPDX-License-Identifier: Apache-2.0
"""A database that cannot be used: tenants get 503 with Retry-After, but not for what a pod has already done.

Without tables, the log names the command to run.
"""

import time

import fixtures
import sqlalchemy
import testtools

from trio2o.db import pods, records, replicas, routings
from trio2o.db.database import Database
from trio2o.gateway.claiming import HeldClaim
from trio2o.gateway.handlers.create import Create
from trio2o.lab.emulated.faults import DropAfter, Fault
from trio2o.nova_apigw.server_groups.handlers import CreateServerGroup
from trio2o.replication.request_writes import RequestWrites
from trio2o.routing.locator import Locator
from trio2o.tests.fixtures.cloud import GatewayFixture
from trio2o.tests.fixtures.database import DatabaseFixture, on_every_server
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.quota.base import QuotaCase


class TestMissingTables(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.cloud = self.useFixture(GatewayFixture(pods=2))
        with self.cloud.runtime.db.writer() as connection:
            records.METADATA.drop_all(connection)

    def test_missing_tables_are_503_and_log_names_db_sync(self):
        server = {'name': 's', 'flavorRef': '1', 'imageRef': self.cloud.lab.image['id']}
        for client, method, path, body in (
            (self.cloud.nova, 'GET', '/servers/0d9e5d5f-7d1e-4d6c-8f2b-0123456789ab', None),
            (self.cloud.nova, 'POST', '/servers', {'server': server}),
            (self.cloud.cinder, 'POST', '/volumes', {'volume': {'size': 1}}),
            (self.cloud.api, 'GET', '/routings', None),
            (self.cloud.api, 'POST', '/pods', {'pod': {'pod_name': 'Pod9', 'az_name': 'az1'}}),
        ):
            as_ = 'admin' if client is self.cloud.api else 'demo'
            answer = client.request(method, path, body, as_=as_)
            self.assertEqual(503, answer.status, (method, path, answer.text))
            self.assertEqual('5', answer.headers['Retry-After'])
            self.assertNotIn('table', answer.text)
            self.assertNotIn('SELECT', answer.text)
        self.assertIn('run trio2o-db-manage db_sync', self.log.output)
        self.assertNotIn('Unexpected error', self.log.output)


@on_every_server
class TestUnfitTexts(testtools.TestCase):
    """No row has a text that its database cannot store: a NUL on PostgreSQL, half of a surrogate pair on all."""

    server = None

    def setUp(self):
        super().setUp()
        url = self.useFixture(DatabaseFixture(self.server)).conf.database.connection
        self.cloud = self.useFixture(GatewayFixture(pods=2, **{'database.connection': url}))

    def test_request_with_unfit_text_gets_no_500(self):
        project = 'p' * 300
        for client, method, path, body in (
            (self.cloud.nova, 'GET', '/servers/%00', None),
            (self.cloud.nova, 'GET', '/os-server-groups/%00', None),
            (self.cloud.nova, 'DELETE', '/os-server-groups/%00', None),
            (self.cloud.nova, 'DELETE', '/os-keypairs/%00', None),
            (self.cloud.nova, 'POST', '/os-keypairs', {'keypair': {'name': 'a\0b'}}),
            (self.cloud.nova, 'POST', '/os-keypairs', {'keypair': {'name': '\ud800'}}),
            (self.cloud.nova, 'POST', '/servers', {'server': {'name': 's', 'flavorRef': 'a\0b', 'imageRef': 'x'}}),
            (self.cloud.nova, 'POST', '/servers', {'server': {'name': 's', 'flavorRef': '\ud800', 'imageRef': 'x'}}),
            (self.cloud.cinder, 'GET', '/volumes/%00', None),
            (self.cloud.cinder, 'POST', '/volumes', {'volume': {'size': 1, 'volume_type': 'a\0b'}}),
            (self.cloud.nova, 'DELETE', '/flavors/%00', None),
            (self.cloud.nova, 'PUT', f'/os-quota-sets/{project}', {'quota_set': {'cores': 1}}),
            (self.cloud.nova, 'PUT', '/os-quota-sets/%00', {'quota_set': {'cores': 1}}),
            (self.cloud.nova, 'PUT', '/os-quota-class-sets/%00', {'quota_class_set': {'cores': 1}}),
        ):
            is_admin = 'quota' in path or 'flavors' in path
            answer = client.request(method, path, body, as_='admin' if is_admin else 'demo')
            self.assertIn(answer.status, (200, 400, 404), (method, path, body, answer.text))


class TestExhaustedPool(QuotaCase):
    """All connections to the database are in use."""

    limits = {'instances': 10}
    options = {**QuotaCase.options, 'quota.claim_seconds': 1.0}

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.held = []
        self.addCleanup(self.free_pool)

    def exhaust_pool(self):
        pool = self.db.engine.pool
        pool._timeout = 0.01
        while True:
            try:
                self.held.append(self.db.engine.connect())
            except sqlalchemy.exc.TimeoutError:
                return

    def free_pool(self):
        for connection in self.held:
            connection.close()
        self.held.clear()

    def exhaust_pool_before(self, owner, name):
        method = getattr(owner, name)

        def exhaust(*args, **given):
            self.exhaust_pool()
            return method(*args, **given)

        self.useFixture(fixtures.MockPatchObject(owner, name, exhaust))

    def test_no_free_connection_is_503(self):
        self.exhaust_pool()
        answer = self.cloud.nova.get('/servers/0d9e5d5f-7d1e-4d6c-8f2b-0123456789ab')
        self.assertEqual((503, '5'), (answer.status, answer.headers['Retry-After']))
        self.assertNotIn('Unexpected error', self.log.output)

    def test_no_free_connection_after_pod_created_server_and_answer_is_202(self):
        self.exhaust_pool_before(Create, '_record')
        server_id = self.server()
        self.free_pool()
        self.assertEqual((0, 1), self.used()['instances'])
        self.assertIsNone(routings.get(self.db, 'server', server_id))
        # Until the claim is old enough to be settled.
        time.sleep(self.cloud.conf.quota.claim_seconds)
        self.settle()
        self.assertUsed(instances=1)

    def test_no_free_connection_after_pod_created_volume_and_answer_is_202(self):
        self.exhaust_pool_before(Create, '_record')
        volume_id = self.volume()
        self.free_pool()
        self.assertEqual(200, self.cloud.cinder.get(f'/volumes/{volume_id}').status)
        self.assertUsed(volumes=1)

    def test_no_free_connection_after_pod_created_server_group_and_answer_is_200(self):
        self.exhaust_pool_before(Create, 'created')
        self.exhaust_pool_before(CreateServerGroup, 'created')
        body = {'server_group': {'name': 'g', 'policies': ['anti-affinity']}}
        self.assertEqual(200, self.cloud.nova.post('/os-server-groups', body).status)

    def test_no_free_connection_after_pod_deleted_transfer_and_answer_is_202(self):
        cinder, volume_id = self.cloud.cinder, self.volume()
        wait_until(lambda: cinder.get(f'/volumes/{volume_id}')['volume']['status'] == 'available', 10, 'no volume')
        made = cinder.post('/os-volume-transfer', {'transfer': {'volume_id': volume_id, 'name': 't'}})
        path = f'/os-volume-transfer/{made["transfer"]["id"]}'
        self.exhaust_pool_before(Locator, 'mark_deleted')
        self.assertEqual(202, cinder.delete(path).status)
        self.free_pool()
        self.assertEqual(404, cinder.get(path).status)

    def test_no_free_connection_after_pod_created_key_pair_and_answer_has_private_key(self):
        self.exhaust_pool_before(RequestWrites, 'record')
        answer = self.cloud.nova.post('/os-keypairs', {'keypair': {'name': 'k'}})
        self.assertEqual(200, answer.status, answer.text)
        self.assertIn('private_key', answer['keypair'])

    def test_pod_is_deleted_while_it_creates_server_and_answer_is_202(self):
        """Another process deletes the pod, so this one still has it in its snapshot."""
        record = Create._record

        def delete_pod_then_record(create, creation, pod, answer):
            pods.delete(self.db, pod.id)
            return record(create, creation, pod, answer)

        self.useFixture(fixtures.MockPatchObject(Create, '_record', delete_pod_then_record))
        self.boot(zone='az1')

    def test_no_free_connection_after_create_without_answer_and_answer_is_504(self):
        self.cloud.pod('Pod1').nova.faults.add(DropAfter(method='POST', path='/servers$', times=1))
        self.exhaust_pool_before(HeldClaim, 'keep_open')
        self.boot(status=504, zone='az1')


class CloseConnections(Fault):
    """The database server closes all connections of the gateway while a pod handles a request."""

    def __init__(self, db):
        super().__init__(method='POST', path='/flavors$')
        object.__setattr__(self, 'db', db)

    def hits(self, method, path):
        if super().hits(method, path):
            with self.db.engine.connect() as connection:
                for statement in connection.scalars(sqlalchemy.text(_CLOSING[self.db.dialect])).all():
                    connection.execute(sqlalchemy.text(statement))
        return False


#: Statement that returns statements, each of which closes one of the other connections to the same database.
_CLOSING = {
    'mysql': "SELECT CONCAT('KILL ', id) FROM information_schema.processlist"
    ' WHERE db = DATABASE() AND id <> CONNECTION_ID()',
    'postgresql': "SELECT 'SELECT pg_terminate_backend(' || pid || ')' FROM pg_stat_activity"
    ' WHERE datname = current_database() AND pid <> pg_backend_pid()',
}


class ClosedConnectionsTest(testtools.TestCase):
    """A database server or a proxy closes connections, and opens others at once."""

    def setUp(self):
        super().setUp()
        url = self.useFixture(DatabaseFixture(self.server)).conf.database.connection
        self.cloud = self.useFixture(GatewayFixture(pods=2, run_jobs=True, **{'database.connection': url}))
        other = Database(self.cloud.conf)
        self.addCleanup(other.dispose)
        self.cloud.pod('Pod1').nova.faults.add(CloseConnections(other))

    def test_flavor_is_recorded_and_in_all_pods_after_the_pod_has_created_it(self):
        body = {'flavor': {'id': 'f', 'name': 'f', 'ram': 64, 'vcpus': 1, 'disk': 1}}
        self.assertEqual(200, self.cloud.nova.post('/flavors', body, as_='admin').status)
        self.assertIsNotNone(replicas.get_object(self.cloud.runtime.db, 'flavor', 'f'))
        for name in ('Pod1', 'Pod2'):
            self.assertIn('f', self.cloud.pod(name).nova.flavors)


class TestClosedConnectionsToMysql(ClosedConnectionsTest):
    server = 'mysql'


class TestClosedConnectionsToPostgres(ClosedConnectionsTest):
    server = 'postgres'


del ClosedConnectionsTest
