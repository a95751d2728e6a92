# SPDX-License-Identifier: Apache-2.0
"""Servers that a pod accepts and has no host for are rescheduled to the next pod."""

import functools

from trio2o.db import moved_resources, routings
from trio2o.db.database import utcnow
from trio2o.lab.emulated import wire
from trio2o.lab.emulated.faults import Alter, DropAfter, Refuse, Status, StatusAfter
from trio2o.nova_apigw import SERVICE
from trio2o.runtime import build_runtime
from trio2o.tests.functional.scheduling.base import RescheduleTest


class OddItems(Alter):
    """A list has each resource also without an id, and with ids that are none."""

    def change(self, response):
        document = wire.loads(response.body)
        for items in document.values():
            nameless = [{key: value for key, value in item.items() if key != 'id'} for item in items]
            items += [{**item, 'id': odd} for item in items for odd in (None, 7, [], 'x', '')] + nameless
        response.body = wire.dumps(document)


class TestNoValidHost(RescheduleTest):
    def test_failed_server_is_created_in_next_pod_and_keeps_its_id(self):
        answer = self.boot(adminPass='given', metadata={'a': 'b'})
        top_id = answer['server']['id']
        self.wait_for(lambda: self.status(top_id) == 'ACTIVE')
        (made,) = self.in_pod('Pod2')
        self.assertEqual(({'a': 'b'}, self.cloud.project_id()), (made['metadata'], made['project_id']))
        routing = routings.get(self.cloud.runtime.db, 'server', top_id)
        self.assertEqual((made['id'], self.cloud.pod_ids['Pod2']), (routing.bottom_id, routing.pod_id))
        self.assertEqual([('Pod1', '', False), ('Pod2', '', True)], self.bindings(history=True))
        self.assertEqual('Pod2', self.pod_of(self.volume()))
        # The failed server is deleted once every process knows of the move.
        self.wait_for(lambda: not self.in_pod('Pod1'))
        self.wait_until_quiet()
        self.assertEqual('ACTIVE', self.status(top_id))

    def test_rescheduled_server_has_the_password_of_the_first_answer(self):
        answer = self.boot()
        self.wait_for(lambda: self.status(answer['server']['id']) == 'ACTIVE')
        (sent,) = [
            request.json['server']
            for request in self.cloud.pod('Pod2').nova.requests
            if request.method == 'POST' and request.path.endswith('/servers')
        ]
        self.assertEqual(answer['server']['adminPass'], sent['adminPass'])

    def test_id_in_the_pod_is_translated_in_every_answer(self):
        top_id, bottom_id = self.boot_moved(name='moved')
        self.boot(name='other')
        self.wait_for(lambda: not self.in_pod('Pod1'))
        nova = self.nova
        pages = [
            nova.get('/servers'),
            nova.get('/servers/detail', version='2.96'),
            nova.get('/servers?changes-since=2020-01-01T00:00:00Z'),
            nova.get(f'/servers/{top_id}'),
            nova.get(f'/servers/{top_id}/os-instance-actions', version='2.21'),
            nova.get('/servers/detail?limit=1'),
            nova.get(f'/servers/detail?marker={top_id}'),
            nova.post(f'/servers/{top_id}/metadata', {'metadata': {'c': 'd'}}),
        ]
        for answer in pages:
            self.assertEqual(200, answer.status, answer.text)
            self.assertNotIn(bottom_id, answer.text)
        found = [server['id'] for server in pages[0]['servers']]
        self.assertEqual((2, 1), (len(found), found.count(top_id)))

    def test_attachment_of_rescheduled_server_shows_the_id_of_the_tenant(self):
        top_id, bottom_id = self.boot_moved()
        volume = self.volume()['volume']['id']
        self.cloud.pod('Pod2').cinder.settle(everything=True)
        attachment = {'volumeAttachment': {'volumeId': volume}}
        answer = self.nova.post(f'/servers/{top_id}/os-volume_attachments', attachment)
        self.assertEqual(200, answer.status, answer.text)
        self.assertEqual(top_id, answer['volumeAttachment']['serverId'])
        shown = self.cinder.get(f'/volumes/{volume}')['volume']
        self.assertEqual([top_id], [each['server_id'] for each in shown['attachments']])
        listed = self.cinder.get('/volumes/detail')
        self.assertNotIn(bottom_id, listed.text)
        self.assertIn(top_id, listed.text)
        stored = self.cloud.pod('Pod2').cinder.attachments.values()
        self.assertEqual([bottom_id], [each['instance'] for each in stored])

    def test_other_process_finds_rescheduled_server(self):
        other = build_runtime(
            self.cloud.conf, transport=self.cloud.transport, identity_transport=self.cloud.lab.adapter()
        )
        self.addCleanup(other.db.dispose)
        self.addCleanup(other.shutdown)
        app = self.cloud.build(SERVICE, other)
        client = type(self.nova)(self.cloud, self.nova._base, self.nova.prefix, 'compute').mount(app)
        top_id = self.boot()['server']['id']
        self.assertEqual(200, client.get(f'/servers/{top_id}').status)
        self.wait_for(lambda: client.get(f'/servers/{top_id}')['server']['status'] == 'ACTIVE')
        self.wait_for(lambda: not self.in_pod('Pod1'))
        self.wait_until_quiet()
        self.assertEqual('ACTIVE', client.get(f'/servers/{top_id}')['server']['status'])
        self.assertEqual([top_id], [server['id'] for server in client.get('/servers')['servers']])

    def test_rescheduled_server_is_found_by_its_id_in_the_pod(self):
        # Neutron stores the id in the pod as device_id of ports.
        top_id, bottom_id = self.boot_moved()
        self.assertEqual(top_id, self.nova.get(f'/servers/{bottom_id}')['server']['id'])
        events = {'events': [{'name': 'network-changed', 'server_uuid': bottom_id}]}
        answer = self.nova.post('/os-server-external-events', events, as_='nova')
        self.assertEqual(200, answer.status, answer.text)

    def test_reconcile_job_keeps_one_routing_of_rescheduled_server(self):
        top_id, _bottom_id = self.boot_moved()
        self.wait_for(lambda: not self.in_pod('Pod1'))
        for pod in ('Pod1', 'Pod2'):
            payload = {'pod_id': self.cloud.pod_ids[pod], 'is_full': True}
            self.cloud.runtime.jobs.submit('reconcile_routings', self.cloud.pod_ids[pod], payload)
        self.cloud.run_jobs()
        (routing,) = routings.list_(self.cloud.runtime.db, filters={'resource_type': 'server', 'state': 'active'})
        self.assertEqual((top_id, self.cloud.pod_ids['Pod2']), (routing.top_id, routing.pod_id))

    def test_delete_of_rescheduled_server_leaves_nothing(self):
        top_id, bottom_id = self.boot_moved()
        self.wait_for(lambda: not self.in_pod('Pod1'))
        self.assertEqual(204, self.nova.delete(f'/servers/{top_id}').status)
        self.cloud.pod('Pod2').nova.settle(everything=True)
        self.assertEqual(404, self.nova.get(f'/servers/{top_id}').status)
        self.assertTrue(self.cloud.pod('Pod2').nova.servers[bottom_id]['deleted'])
        self.assertEqual(1, len(moved_resources.list_all(self.cloud.runtime.db)))
        moved_resources.purge(self.cloud.runtime.db, utcnow())
        self.assertEqual([], list(moved_resources.list_all(self.cloud.runtime.db)))

    def test_second_pod_without_host_reschedules_to_third(self):
        self.capacity('Pod2', 0)
        top_id = self.boot()['server']['id']
        self.wait_for(lambda: self.status(top_id) == 'ACTIVE')
        self.assertEqual(1, len(self.in_pod('Pod3')))
        self.wait_for(lambda: not self.in_pod('Pod1') and not self.in_pod('Pod2'))
        self.wait_until_quiet()
        self.assertEqual([top_id], [server['id'] for server in self.nova.get('/servers')['servers']])

    def test_no_pod_left_keeps_server_in_error(self):
        for pod in ('Pod2', 'Pod3'):
            self.capacity(pod, 0)
        self.collect()
        self.capacity('Pod1', 1)
        self.collect()
        self.capacity('Pod1', 0)
        top_id = self.boot()['server']['id']
        self.wait_for(lambda: self.status(top_id) == 'ERROR')
        self.wait_until_quiet()
        self.assertEqual('ERROR', self.status(top_id))
        self.assertEqual(0, len(self.in_pod('Pod2')) + len(self.in_pod('Pod3')))

    def test_server_deleted_meanwhile_is_not_rescheduled(self):
        top_id = self.boot()['server']['id']
        self.nova.delete(f'/servers/{top_id}')
        self.wait_until_quiet()
        self.assertEqual([], self.in_pod('Pod2'))

    def test_unreachable_next_pod_is_skipped(self):
        self.cloud.pod('Pod2').nova.faults.add(Refuse())
        top_id = self.boot()['server']['id']
        self.wait_for(lambda: self.status(top_id) == 'ACTIVE')
        self.assertEqual(1, len(self.in_pod('Pod3')))

    def find_after(self, fault):
        """Boot a server whose create in Pod2 is carried out, with a fault that hides it."""
        self.cloud.pod('Pod2').nova.faults.add(fault(method='POST', path='/servers$'))
        top_id = self.boot()['server']['id']
        self.wait_for(lambda: self.status(top_id) == 'ACTIVE')
        (made,) = self.in_pod('Pod2')
        self.assertEqual(made['id'], routings.get(self.cloud.runtime.db, 'server', top_id).bottom_id)
        self.assertEqual([], self.in_pod('Pod3'))
        self.wait_for(lambda: not self.in_pod('Pod1'))

    def test_next_pod_answers_504_after_work_and_its_server_is_found(self):
        self.find_after(functools.partial(StatusAfter, status=504))

    def test_next_pod_closes_the_connection_after_work_and_its_server_is_found(self):
        self.find_after(DropAfter)

    def test_items_without_an_id_are_left_out_when_the_server_is_looked_for(self):
        self.cloud.pod('Pod2').nova.faults.add(OddItems(method='GET', path='/servers/detail'))
        self.find_after(DropAfter)

    def test_next_pod_answers_504_without_work_and_no_other_pod_gets_the_server(self):
        nova = self.cloud.pod('Pod2').nova
        nova.faults.add(Status(504, method='POST', path='/servers$'))
        top_id = self.boot()['server']['id']
        self.wait_for(lambda: [each for each in nova.requests if 'changes-since' in each.query])
        self.wait_for(lambda: self.status(top_id) == 'ERROR')
        self.assertEqual(([], []), (self.in_pod('Pod2'), self.in_pod('Pod3')))

    def test_several_servers_or_a_named_host_are_not_rescheduled(self):
        several = self.boot(min_count=2)['server']['id']
        in_host = self.boot('az1:pod1-compute-1', as_=('admin', 'demo'))['server']['id']
        for server_id in (several, in_host):
            self.wait_for(lambda server_id=server_id: self.status(server_id) == 'ERROR')
        self.wait_until_quiet()
        self.assertEqual([], self.in_pod('Pod2'))


class TestRescheduleOptionOff(RescheduleTest):
    options = {}

    def test_option_off_keeps_server_in_error(self):
        top_id = self.boot()['server']['id']
        self.wait_for(lambda: self.status(top_id) == 'ERROR')
        self.assertEqual(0, self.cloud.runtime.background.delayed)
