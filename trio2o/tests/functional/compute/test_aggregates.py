# SPDX-License-Identifier: Apache-2.0
"""Host aggregates of all pods, and the aggregates that represent pods."""

from trio2o.db import pods as db_pods
from trio2o.lab.emulated.faults import Refuse, Status
from trio2o.tests.functional.compute.base import InfrastructureTest
from trio2o.tests.functional.operations.base import ids


class TestAggregates(InfrastructureTest):
    def make(self, name='fast', version='2.1', **fields):
        answer = self.admin('POST', '/os-aggregates', {'aggregate': {'name': name, **fields}}, version)
        self.assertEqual(200, answer.status, answer.text)
        return answer['aggregate']

    def act(self, aggregate_id, action, body, version='2.1'):
        return self.admin('POST', f'/os-aggregates/{aggregate_id}/action', {action: body}, version)

    def show(self, aggregate_id):
        answer = self.get(f'/os-aggregates/{aggregate_id}')
        self.assertEqual(200, answer.status, answer.text)
        return answer['aggregate']

    def in_pod(self, pod):
        return list(self.cloud.pod(pod).nova.aggregates.values())

    def test_each_pod_is_shown_as_aggregate(self):
        aggregates = self.get('/os-aggregates', '2.41')['aggregates']
        self.assertEqual(
            [
                (1, 'ag_Pod1', 'az1', ['pod1-compute-1'], {'availability_zone': 'az1'}, self.cloud.pod_ids['Pod1']),
                (2, 'ag_Pod2', 'az2', ['pod2-compute-1'], {'availability_zone': 'az2'}, self.cloud.pod_ids['Pod2']),
            ],
            [(a['id'], a['name'], a['availability_zone'], a['hosts'], a['metadata'], a['uuid']) for a in aggregates],
        )
        self.assertEqual(self.get('/os-aggregates')['aggregates'][1], self.show(2))
        real = self.make()
        self.assertEqual(set(self.show(real['id'])), set(self.show(1)))

    def test_aggregate_of_pod_cannot_be_changed(self):
        for method, path, body in (
            ('DELETE', '', None),
            ('PUT', '', {'aggregate': {'name': 'other'}}),
            ('POST', '/action', {'add_host': {'host': 'pod1-compute-1'}}),
        ):
            answer = self.admin(method, f'/os-aggregates/1{path}', body)
            self.assertEqual(409, answer.status, answer.text)
            self.assertIn('Admin API', answer.fault)

    def test_aggregate_with_zone_is_created_in_pod_of_zone(self):
        made = self.make(availability_zone='az2')
        self.assertEqual((1002, 'az2'), (made['id'], made['availability_zone']))
        self.assertEqual('az2', self.show(1002)['metadata']['availability_zone'])
        self.assertEqual((0, 1), (len(self.in_pod('Pod1')), len(self.in_pod('Pod2'))))

    def test_aggregate_in_pod_with_a_number_of_four_digits_is_found_by_its_id(self):
        db_pods.update(self.cloud.runtime.db, self.cloud.pod_ids['Pod2'], number=1234)
        self.cloud.runtime.registry.refresh()
        made = self.make(availability_zone='az2')
        self.assertEqual(1001234000, made['id'])
        self.assertEqual('fast', self.show(1001234000)['name'])
        self.assertEqual('ag_Pod2', self.show(1234000)['name'])
        self.assertEqual(
            [1, 1234000, 1001234000], sorted(each['id'] for each in self.get('/os-aggregates')['aggregates'])
        )
        self.assertEqual(200, self.admin('DELETE', '/os-aggregates/1001234000').status)
        self.assertEqual([], self.in_pod('Pod2'))

    def test_aggregate_with_qualified_name_is_created_in_named_pod(self):
        made = self.make('Pod2@fast')
        self.assertEqual((1002, 'fast'), (made['id'], made['name']))

    def test_duplicate_name_in_any_pod_is_refused_with_409(self):
        self.make(availability_zone='az2')
        for name in ('fast', 'ag_Pod2'):
            answer = self.admin('POST', '/os-aggregates', {'aggregate': {'name': name, 'availability_zone': 'az1'}})
            self.assertEqual((409, f'Aggregate {name} already exists.'), (answer.status, answer.fault))
        self.make('Pod1@fast')
        self.assertEqual(403, self.nova.post('/os-aggregates', {'aggregate': {'name': 'fast'}}, as_='demo').status)

    def test_aggregate_is_created_changed_and_deleted(self):
        made = self.make(availability_zone='az2')
        path = f'/os-aggregates/{made["id"]}'
        answer = self.act(made['id'], 'add_host', {'host': 'pod2-compute-1'})
        self.assertEqual((200, ['pod2-compute-1']), (answer.status, answer['aggregate']['hosts']))
        answer = self.act(made['id'], 'set_metadata', {'metadata': {'ssd': 'true'}})
        self.assertEqual({'availability_zone': 'az2', 'ssd': 'true'}, answer['aggregate']['metadata'])
        answer = self.admin('PUT', path, {'aggregate': {'name': 'slow'}})
        self.assertEqual(('slow', made['id']), (answer['aggregate']['name'], answer['aggregate']['id']))
        self.assertEqual(202, self.admin('POST', f'{path}/images', {'cache': [{'id': 'x'}]}, '2.81').status)
        self.assertEqual(404, self.admin('POST', f'{path}/images', {'cache': [{'id': 'x'}]}, '2.80').status)
        answer = self.act(made['id'], 'remove_host', {'host': 'Pod2@pod2-compute-1'})
        self.assertEqual([], answer['aggregate']['hosts'])
        self.assertEqual(200, self.admin('DELETE', path).status)
        self.assertEqual(404, self.get(path).status)
        self.assertEqual([1, 2], ids(self.get('/os-aggregates')['aggregates']))

    def test_zone_of_other_pods_is_refused(self):
        made = self.make(availability_zone='az2')
        for answer in (
            self.admin('PUT', f'/os-aggregates/{made["id"]}', {'aggregate': {'availability_zone': 'az1'}}),
            self.act(made['id'], 'set_metadata', {'metadata': {'availability_zone': 'az1'}}),
        ):
            self.assertEqual(409, answer.status, answer.text)

    def move_to_second_pod(self):
        """Create an aggregate without a zone and give it a host of Pod2. :returns: the aggregate"""
        made = self.make()
        self.assertEqual(1, len(self.in_pod('Pod1')))
        self.act(made['id'], 'set_metadata', {'metadata': {'ssd': 'true'}})
        answer = self.act(made['id'], 'add_host', {'host': 'pod2-compute-1'})
        self.assertEqual(200, answer.status, answer.text)
        self.assertEqual((made['id'], ['pod2-compute-1']), (answer['aggregate']['id'], answer['aggregate']['hosts']))
        self.assertEqual((0, 1), (len(self.in_pod('Pod1')), len(self.in_pod('Pod2'))))
        self.assertEqual({'ssd': 'true'}, self.show(made['id'])['metadata'])
        self.assertEqual([1, 2, made['id']], ids(self.get('/os-aggregates')['aggregates']))
        return made

    def test_aggregate_moves_to_pod_of_its_first_host(self):
        self.move_to_second_pod()

    def test_hosts_of_two_pods_are_refused(self):
        made = self.move_to_second_pod()
        answer = self.act(made['id'], 'add_host', {'host': 'pod1-compute-1'})
        self.assertEqual(409, answer.status)
        self.assertEqual(['pod2-compute-1'], self.show(made['id'])['hosts'])

    def test_new_aggregate_does_not_get_id_of_moved_one(self):
        moved = self.move_to_second_pod()
        again = self.make('again')
        self.assertNotEqual(moved['id'], again['id'])
        self.assertEqual(('fast', 'again'), (self.show(moved['id'])['name'], self.show(again['id'])['name']))
        self.assertEqual([1, 2, again['id'], moved['id']], ids(self.get('/os-aggregates')['aggregates']))
        self.assertEqual(200, self.admin('DELETE', f'/os-aggregates/{moved["id"]}').status)
        self.assertEqual(404, self.get(f'/os-aggregates/{moved["id"]}').status)
        self.assertEqual('again', self.show(again['id'])['name'])

    def test_unknown_aggregate_or_host_is_404(self):
        answer = self.get('/os-aggregates/9001')
        self.assertEqual((404, 'Aggregate 9001 could not be found.'), (answer.status, answer.fault))
        self.assertEqual(404, self.get('/os-aggregates/999').status)
        made = self.make()
        self.assertEqual(404, self.act(made['id'], 'add_host', {'host': 'nowhere'}).status)
        self.assertEqual(400, self.act(made['id'], 'grow', {}).status)

    def test_refusal_of_pod_names_aggregate_as_tenants_know_it(self):
        made = self.make(availability_zone='az2')
        message = b'{"conflictingRequest": {"code": 409, "message": "Cannot add host to aggregate 1. It has 1."}}'
        json = (('Content-Type', 'application/json'),)
        self.break_pod('Pod2', Status(409, body=message, headers=json, method='POST'))
        answer = self.act(made['id'], 'add_host', {'host': 'pod2-compute-1'})
        self.assertEqual(f'Cannot add host to aggregate {made["id"]}. It has 1.', answer.fault)

    def test_aggregate_of_unreachable_pod_is_503_and_pod_is_still_listed(self):
        made = self.make(availability_zone='az2')
        self.get('/os-aggregates')
        self.break_pod('Pod2', Refuse())
        self.assert_own_words(self.get('/os-aggregates'), 503)
        self.skip_down_pods()
        aggregates = self.get('/os-aggregates')['aggregates']
        self.assertEqual([1, 2], ids(aggregates))
        self.assertEqual(['pod2-compute-1'], aggregates[1]['hosts'])
        self.assertEqual(503, self.get(f'/os-aggregates/{made["id"]}').status)


class TestZoneNames(InfrastructureTest):
    """Pods in which the zone has another name."""

    pods = {}

    def setUp(self):
        super().setUp()
        for name, zone in (('PodA', 'az1'), ('PodB', 'az2')):
            self.cloud.lab.add_pod(name)
            self.cloud.register_pod(name, zone, pod_az_name='nova')

    def make_zone(self, pod):
        """Create an aggregate with the zone directly in the pod."""
        body = {'aggregate': {'name': 'made-here', 'availability_zone': 'nova'}}
        self.assertEqual(200, self.cloud.direct(pod, 'nova').post('/os-aggregates', body, as_='admin').status)

    def test_default_zone_of_hosts_is_refused_for_aggregate(self):
        """Of a zone that an aggregate names, Nova takes hosts of such aggregates alone: this has none."""
        asked = {'aggregate': {'name': 'fast', 'availability_zone': 'az2'}}
        answer = self.admin('POST', '/os-aggregates', asked)
        self.assertEqual(409, answer.status)
        self.assertIn('leave out the zone', answer.json['conflictingRequest']['message'])
        self.assertEqual({}, self.cloud.pod('PodB').nova.aggregates)
        made = self.admin('POST', '/os-aggregates', {'aggregate': {'name': 'PodB@fast'}})['aggregate']
        for method, path, body in (
            ('PUT', '', {'aggregate': {'availability_zone': 'az2'}}),
            ('POST', '/action', {'set_metadata': {'metadata': {'availability_zone': 'az2'}}}),
        ):
            self.assertEqual(409, self.admin(method, f'/os-aggregates/{made["id"]}{path}', body).status)
        # The pod refuses a user who may not create any.
        self.assertEqual(403, self.cloud.nova.post('/os-aggregates', asked).status)

    def test_zone_of_aggregate_is_translated_to_name_in_pod(self):
        self.make_zone('PodB')
        answer = self.admin('POST', '/os-aggregates', {'aggregate': {'name': 'fast', 'availability_zone': 'az2'}})
        self.assertEqual('az2', answer['aggregate']['availability_zone'])
        there = next(each for each in self.cloud.pod('PodB').nova.aggregates.values() if each['name'] == 'fast')
        self.assertEqual('nova', there['availability_zone'])
        body = {'set_metadata': {'metadata': {'availability_zone': 'az2'}}}
        answer = self.admin('POST', f'/os-aggregates/{answer["aggregate"]["id"]}/action', body)
        self.assertEqual({'availability_zone': 'az2'}, answer['aggregate']['metadata'])
        self.assertEqual({'availability_zone': 'nova'}, there['metadata'])
