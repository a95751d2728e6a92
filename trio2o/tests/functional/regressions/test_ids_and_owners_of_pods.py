# SPDX-License-Identifier: Apache-2.0
"""A pod decides what it has itself, and nothing about the resources and the projects of others."""

import datetime
import json
import uuid

from trio2o.db import routings
from trio2o.db.database import utcnow
from trio2o.db.records import DELETED, NewRouting
from trio2o.lab.emulated import cinder, nova
from trio2o.lab.emulated.faults import Alter, Status
from trio2o.lab.emulated.wire import JSON
from trio2o.resources import SERVER, VOLUME
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.quota.base import QuotaCase

UNKNOWN = 'e5b47e15-0000-4000-8000-00000000000e'


def shows(member, **item):
    """A fault that answers 200 with a resource, whether the service has it or not."""
    return Status(200, body=json.dumps({member: item}).encode(), headers=tuple(JSON))


class TestIdsAndOwnersOfPods(QuotaCase):
    limits = {'instances': 10, 'cores': 100, 'volumes': 10}

    def setUp(self):
        super().setUp()
        self.other = self.cloud.project_id('alt')
        self.first, self.second = self.cloud.pod('Pod1'), self.cloud.pod('Pod2')

    def routing(self, kind, top_id):
        return routings.get(self.db, kind, top_id)

    def show(self, **kwargs):
        return self.cloud.nova.get(f'/servers/{UNKNOWN}', **kwargs)

    # -- answers to look-ups --

    def test_owner_of_another_project_is_not_recorded(self):
        flavor = {'vcpus': 64, 'ram': 999999}
        self.second.nova.faults.add(shows('server', id=UNKNOWN, tenant_id=self.other, flavor=flavor))
        self.show()
        self.assertIsNone(self.routing('server', UNKNOWN))
        self.assertEqual({}, self.used(self.other))

    def test_admin_is_shown_resource_of_any_project_and_it_is_recorded(self):
        server_id = self.cloud.lab.add_servers('Pod2', 'alt')[0]['id']
        self.assertEqual(200, self.cloud.nova.get(f'/servers/{server_id}', as_='admin').status)
        self.assertEqual(self.other, self.routing('server', server_id).project_id)

    def test_resource_with_another_id_is_not_found(self):
        self.second.nova.faults.add(shows('server', id=str(uuid.uuid4()), tenant_id=self.project))
        self.assertEqual(404, self.show().status)
        self.assertIsNone(self.routing('server', UNKNOWN))

    def test_wrong_answer_hides_no_resource_of_another_pod(self):
        server_id = self.cloud.lab.add_servers('Pod2', 'demo')[0]['id']
        for item in ({'id': UNKNOWN}, {'id': server_id, 'tenant_id': self.other}):
            self.first.nova.faults.clear()
            self.first.nova.faults.add(shows('server', **item))
            answer = self.cloud.nova.get(f'/servers/{server_id}')
            self.assertEqual(self.project, answer['server']['tenant_id'])
        self.assertEqual(self.cloud.pod_ids['Pod2'], self.routing('server', server_id).pod_id)

    def test_negative_and_huge_amounts_are_not_counted(self):
        for number, vcpus in enumerate((-64, 2**40)):
            server_id = f'{UNKNOWN[:-1]}{number}'
            fault = shows('server', id=server_id, tenant_id=self.project, flavor={'vcpus': vcpus, 'ram': 1})
            self.second.nova.faults.clear()
            self.second.nova.faults.add(fault)
            self.cloud.nova.get(f'/servers/{server_id}')
            self.assertIsNone(self.routing('server', server_id).deltas)
        self.assertEqual({}, self.used())

    # -- lists --

    def learn(self, resource, pod, items, as_='demo'):
        """List with a member's token, and wait until the last item is recorded, with all that are recorded."""
        path = f'{resource.path}/detail'
        service = self.cloud.nova if resource is SERVER else self.cloud.cinder
        getattr(pod, 'nova' if resource is SERVER else 'cinder').faults.add(
            Status(200, body=json.dumps({resource.collection: items}).encode(), headers=tuple(JSON), path=path)
        )
        self.assertEqual(200, service.get(path, as_=as_).status)
        wait_until(lambda: self.routing(resource.type, items[-1]['id']), 5, 'the list is not recorded', 0.01)

    def test_list_records_own_resources_with_ids_only(self):
        odd = [{'id': text, 'tenant_id': self.project} for text in ('a', '"', '../../x', UNKNOWN.upper())]
        items = [*odd, {'id': str(uuid.uuid4()), 'tenant_id': self.other}, {'id': UNKNOWN, 'tenant_id': self.project}]
        self.server(zone='az2')
        before = len(routings.list_(self.db))
        self.learn(SERVER, self.second, items)
        self.assertEqual(before + 1, len(routings.list_(self.db)))
        self.assertEqual(self.project, self.routing('server', UNKNOWN).project_id)

    def test_list_does_not_change_routing_of_another_pod(self):
        routings.record(self.db, NewRouting('volume', UNKNOWN, self.cloud.pod_ids['Pod1'], self.project))
        self.volume(zone='az2')
        ids = (UNKNOWN, str(uuid.uuid4()))
        self.learn(VOLUME, self.second, [{'id': each, 'created_at': '2020-01-01T00:00:00.000000'} for each in ids])
        routing = self.routing('volume', UNKNOWN)
        self.assertEqual((self.cloud.pod_ids['Pod1'], None), (routing.pod_id, routing.created_at))

    def test_resource_that_cannot_be_recorded_keeps_no_other_of_list_from_it(self):
        self.volume(zone='az2')
        items = [{'id': str(uuid.uuid4()), 'size': 1, 'volume_type': 'ssd'} for _ in range(5)]
        items[2]['volume_type'] = 'x' * 300
        self.learn(VOLUME, self.second, items)
        self.assertEqual([True, True, False, True, True], [bool(self.routing('volume', each['id'])) for each in items])

    def test_resource_that_exists_again_has_the_owner_that_it_had(self):
        server_id = self.server(zone='az2')
        self.settle()
        then = utcnow() - datetime.timedelta(hours=1)
        routings.update(self.db, self.routing('server', server_id).id, state=DELETED, deleted_at=then)
        self.cloud.runtime.locator.forget('server', server_id)
        self.second.nova.faults.add(Alter(path=f'/servers/{server_id}', values={'tenant_id': self.other}))
        self.assertEqual(200, self.cloud.nova.get(f'/servers/{server_id}').status)
        self.assertUsed(instances=1)
        self.assertEqual({}, self.used(self.other))

    # -- creates and transfers --

    def test_create_with_id_of_others_leaves_their_routing(self):
        server_id = self.server(zone='az1', as_='alt')
        self.second.nova.faults.add(Alter(path='/servers', method='POST', values={'id': server_id}))
        self.boot(zone='az2')
        routing = self.routing('server', server_id)
        self.assertEqual((self.cloud.pod_ids['Pod1'], self.other), (routing.pod_id, routing.project_id))

    def test_create_without_readable_id_keeps_claim_until_resource_is_found(self):
        self.second.nova.faults.add(Alter(path='/servers', method='POST', values={'id': '"'}, times=1))
        self.boot(zone='az2')
        self.assertEqual((0, 1), self.used()['instances'])
        self.settle()
        self.assertUsed(instances=1)

    def test_accepted_transfer_moves_no_volume_of_another_pod(self):
        victim = self.volume(zone='az1', as_='alt')
        mine = self.volume(zone='az2')
        transfer = self.cloud.cinder.post('/volume-transfers', {'transfer': {'volume_id': mine}})['transfer']
        self.second.cinder.faults.add(Alter(path='/accept', values={'volume_id': victim}))
        body = {'accept': {'auth_key': transfer['auth_key']}}
        self.assertEqual(202, self.cloud.cinder.post(f'/volume-transfers/{transfer["id"]}/accept', body).status)
        routing = self.routing('volume', victim)
        self.assertEqual((self.cloud.pod_ids['Pod1'], self.other), (routing.pod_id, routing.project_id))


class TestIdsInAnotherCase(QuotaCase):
    limits = {'instances': 10, 'volumes': 10}
    options = {'nova': nova.Settings(ignores_case=True), 'cinder': cinder.Settings(ignores_case=True)}

    def test_id_in_capitals_is_the_same_resource_and_counts_once(self):
        server_id, volume_id = self.server(zone='az2'), self.volume(zone='az2')
        self.settle()
        for service, path in (
            (self.cloud.nova, f'/servers/{server_id}'),
            (self.cloud.cinder, f'/volumes/{volume_id}'),
        ):
            *rest, last = path.split('/')
            for spelling in (last.upper(), last[:20].upper() + last[20:]):
                answer = service.get('/'.join([*rest, spelling]))
                self.assertEqual(200, answer.status, answer.text)
        self.assertUsed(instances=1, volumes=1)
        self.assertEqual(2, len(routings.list_(self.db)))

    def test_unrecorded_resource_is_recorded_in_lower_case(self):
        server_id = self.cloud.lab.add_servers('Pod2', 'demo')[0]['id']
        self.assertEqual(200, self.cloud.nova.get(f'/servers/{server_id.upper()}').status)
        self.assertEqual([server_id], [routing.top_id for routing in routings.list_(self.db)])

    def test_delete_by_id_in_capitals_frees_quota(self):
        server_id, volume_id = self.server(zone='az2'), self.volume(zone='az2')
        self.assertEqual(204, self.cloud.nova.delete(f'/servers/{server_id.upper()}').status)
        self.assertEqual(202, self.cloud.cinder.delete(f'/volumes/{volume_id.upper()}').status)
        self.settle()
        self.assertEqual({}, self.used())

    def test_volume_is_attached_by_id_in_capitals(self):
        server_id, volume_id = self.server(zone='az2'), self.volume(zone='az2')
        self.assertEqual('available', self.cloud.cinder.get(f'/volumes/{volume_id}')['volume']['status'])
        body = {'volumeAttachment': {'volumeId': volume_id.upper()}}
        answer = self.cloud.nova.post(f'/servers/{server_id.upper()}/os-volume_attachments', body)
        self.assertEqual(200, answer.status, answer.text)
        self.settle()
        self.assertUsed(instances=1, volumes=1)
