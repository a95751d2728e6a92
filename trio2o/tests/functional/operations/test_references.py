# SPDX-License-Identifier: Apache-2.0
"""What a body refers to: a limit on references, and bounds on the calls to pods that they cause."""

import uuid

from sqlalchemy import event

from trio2o.lab.emulated.faults import Hang, Status
from trio2o.tests.functional.operations.base import ConversationTest
from trio2o.web.lookups import Lookups

LIMIT = 20
#: For other calls than look-ups: the create itself, the flavor, the image.
OTHER_CALLS = 6


def unknown(number):
    return [str(uuid.uuid4()) for _each in range(number)]


class ReferencesTest(ConversationTest):
    pods = {'Pod1': 'az1', 'Pod2': 'az1', 'Pod3': 'az2'}
    options = {'pods.max_references': LIMIT}

    def calls(self):
        return sum(len(self.seen(pod, service)) for pod in self.pods for service in ('nova', 'cinder'))

    def called(self, function, *args, **kwargs):
        """Call a function, and return its result and the number of calls that pods got."""
        before = self.calls()
        return function(*args, **kwargs), self.calls() - before

    def server(self, hints=None, **fields):
        server = {'name': 'server', 'flavorRef': '1', 'networks': 'none', 'imageRef': self.cloud.lab.image['id']}
        body = {'server': {**server, **fields}, 'os:scheduler_hints': hints or {}}
        return self.nova.post('/servers', body, version='2.96')

    def volume(self, hints=None, **fields):
        body = {'volume': {'size': 1, **fields}, 'OS-SCH-HNT:scheduler_hints': hints or {}}
        return self.cinder.post('/volumes', body, version='3.70')

    def group(self):
        type_ = self.cinder.post('/group_types', {'group_type': {'name': 'plain'}}, as_='admin', version='3.70')
        (volume_type,) = self.cinder.get('/types')['volume_types'][:1]
        body = {'group': {'group_type': type_['group_type']['id'], 'volume_types': [volume_type['id']]}}
        return self.cinder.post('/groups', body, version='3.70')['group']['id']


class TestLimit(ReferencesTest):
    def assert_refused(self, field, called):
        answer, calls = called
        self.assertEqual(400, answer.status, answer.text)
        self.assertIn(field, answer.fault)
        self.assertIn(str(LIMIT), answer.fault)
        # The image, or the source of the volume, is read before.
        self.assertLessEqual(calls, 2)

    def test_server_with_too_many_hints_is_refused_with_field_and_limit(self):
        for name in ('same_host', 'different_host'):
            self.assert_refused(name, self.called(self.server, hints={name: unknown(LIMIT + 1)}))

    def test_volume_with_too_many_hints_is_refused_with_field_and_limit(self):
        for name in ('same_host', 'different_host', 'local_to_instance'):
            self.assert_refused(name, self.called(self.volume, hints={name: unknown(LIMIT + 1)}))

    def test_server_with_too_many_block_devices_is_refused_with_field_and_limit(self):
        disks = [{'source_type': 'volume', 'destination_type': 'volume', 'uuid': id_} for id_ in unknown(LIMIT + 1)]
        self.assert_refused('block_device_mapping_v2', self.called(self.server, block_device_mapping_v2=disks))
        disks = [{'device_name': f'vd{number}', 'volume_id': id_} for number, id_ in enumerate(unknown(LIMIT + 1))]
        self.assert_refused('block_device_mapping', self.called(self.server, block_device_mapping=disks))

    def test_group_with_too_many_volumes_is_refused_with_field_and_limit(self):
        group_id = self.group()
        for name in ('add_volumes', 'remove_volumes'):
            body = {'group': {name: ','.join(unknown(LIMIT + 1))}}
            called = self.called(self.cinder.request, 'PUT', f'/groups/{group_id}', body, version='3.70')
            self.assert_refused(name, called)

    def test_group_with_too_many_volume_types_is_refused_with_field_and_limit(self):
        body = {'group': {'group_type': 'plain', 'volume_types': unknown(LIMIT + 1)}}
        self.assert_refused('volume_types', self.called(self.cinder.post, '/groups', body, version='3.70'))
        body = {'consistencygroup': {'volume_types': ','.join(unknown(LIMIT + 1))}}
        self.assert_refused('volume_types', self.called(self.cinder.post, '/consistencygroups', body))

    def test_repeated_id_counts_once(self):
        (server,) = self.cloud.lab.add_servers('Pod1', 'demo')
        answer = self.server(hints={'different_host': [server['id']] * (LIMIT + 1)})
        self.assertEqual(202, answer.status, answer.text)

    def test_request_with_as_many_hints_as_allowed_is_accepted(self):
        servers = [each['id'] for each in self.cloud.lab.add_servers('Pod1', 'demo', count=LIMIT)]
        answer = self.server(hints={'different_host': servers})
        self.assertEqual(202, answer.status, answer.text)


class TestUnknownReferences(ReferencesTest):
    most_calls = Lookups.MAX_MISSES * 3 + OTHER_CALLS

    def assert_few_calls(self, statuses, called):
        answer, calls = called
        self.assertIn(answer.status, statuses, answer.text)
        self.assertLessEqual(calls, self.most_calls)

    def test_unknown_hints_cause_few_calls(self):
        for name in ('same_host', 'different_host'):
            self.assert_few_calls((202, 400, 404), self.called(self.server, hints={name: unknown(LIMIT)}))
            self.assert_few_calls((202, 400, 404), self.called(self.volume, hints={name: unknown(LIMIT)}))

    def test_unknown_block_devices_cause_few_calls(self):
        for source in ('volume', 'snapshot', 'image'):
            disks = [
                {'source_type': source, 'destination_type': 'volume', 'uuid': id_, 'volume_size': 1}
                for id_ in unknown(LIMIT)
            ]
            self.assert_few_calls((202, 400), self.called(self.server, block_device_mapping_v2=disks))

    def test_unknown_volume_types_of_block_devices_cause_few_calls(self):
        disks = [
            {'source_type': 'blank', 'destination_type': 'volume', 'volume_size': 1, 'volume_type': f'type-{number}'}
            for number in range(LIMIT)
        ]
        self.assert_few_calls((202, 400, 404), self.called(self.server, block_device_mapping_v2=disks))

    def test_unknown_volumes_of_group_cause_few_calls(self):
        body = {'group': {'add_volumes': ','.join(unknown(LIMIT))}}
        called = self.called(self.cinder.request, 'PUT', f'/groups/{self.group()}', body, version='3.70')
        self.assert_few_calls((400, 404), called)

    def test_unknown_flavor_is_asked_of_two_pods_and_refused_as_by_nova(self):
        answer, calls = self.called(self.server, flavorRef='bogus')
        self.assertEqual((400, 'Flavor bogus could not be found.'), (answer.status, answer.fault))
        self.assertLessEqual(calls, 2 + 1)

    def test_flavor_that_no_pod_shows_is_503_and_nothing_is_created(self):
        bodies = (b'{"flavor": {"vcpus": null, "ram": 1}}', b'{"flavor": []}', b'{"flavor": {}}', b'garbage')
        json = (('Content-Type', 'application/json'),)
        for body in bodies:
            for pod in self.pods:
                faults = self.cloud.pod(pod).nova.faults
                faults.clear()
                faults.add(Status(200, body=body, headers=json, path='/flavors/', method='GET'))
            answer = self.server()
            self.assertEqual((503, '5'), (answer.status, answer.headers['Retry-After']), body)
            self.assertIn('Flavor 1 cannot be read now', answer.fault)
        self.assertEqual([], [pod for pod in self.pods if self.cloud.pod(pod).nova.servers])

    def test_unknown_volume_type_is_asked_of_two_pods(self):
        answer, calls = self.called(self.volume, volume_type='bogus')
        self.assertEqual(404, answer.status, answer.text)
        self.assertLessEqual(calls, 2 + OTHER_CALLS)

    def test_known_references_among_unknown_ones_choose_the_pod(self):
        (server,) = self.cloud.lab.add_servers('Pod3', 'demo')
        self.learn_servers()
        hints = {'same_host': [*unknown(LIMIT - 1), server['id']]}
        self.assertEqual(202, self.server(hints=hints).status)
        self.assertEqual(2, len(self.cloud.pod('Pod3').nova.servers))


class TestMisses(ReferencesTest):
    def test_unknown_id_is_not_asked_for_again_at_once(self):
        (missing,) = unknown(1)
        answers = [self.called(self.nova.get, f'/servers/{missing}') for _each in range(2)]
        self.assertEqual([404, 404], [answer.status for answer, _calls in answers])
        self.assertEqual(answers[0][0].body, answers[1][0].body)
        self.assertEqual([3, 0], [calls for _answer, calls in answers])

    def test_unknown_marker_is_asked_for_once(self):
        (missing,) = unknown(1)
        answers = [self.called(self.nova.get, f'/servers?marker={missing}') for _ in range(2)]
        self.assertEqual([400, 400], [answer.status for answer, _calls in answers])
        self.assertEqual(6, answers[0][1])
        self.assertEqual(0, answers[1][1])

    def test_id_unknown_to_one_caller_is_asked_for_by_another(self):
        (server,) = self.cloud.lab.add_servers('Pod3', 'demo')
        self.assertEqual(404, self.nova.get(f'/servers/{server["id"]}', as_='alt').status)
        self.assertEqual(200, self.nova.get(f'/servers/{server["id"]}').status)

    def test_resource_that_a_list_shows_after_a_miss_is_found(self):
        (missing,) = unknown(1)
        self.assertEqual(404, self.nova.get(f'/servers/{missing}').status)
        (server,) = self.cloud.lab.add_servers('Pod3', 'demo')
        servers = self.cloud.pod('Pod3').nova.servers
        servers[missing] = {**servers.pop(server['id']), 'id': missing}
        self.learn_servers()
        self.assertEqual(200, self.nova.get(f'/servers/{missing}').status)

    def test_id_is_unknown_only_if_all_pods_answered(self):
        (server,) = self.cloud.lab.add_servers('Pod3', 'demo')
        self.cloud.pod('Pod3').nova.faults.add(Hang())
        self.cloud.runtime.locator._prober._timeout = 0.05
        self.assertEqual(503, self.nova.get(f'/servers/{server["id"]}').status)
        self.cloud.pod('Pod3').nova.faults.clear()
        self.assertEqual(200, self.nova.get(f'/servers/{server["id"]}').status)


class TestReconciledPods(ReferencesTest):
    run_jobs = True

    def test_id_of_another_project_is_asked_of_its_own_pod_only(self):
        (server,) = self.cloud.lab.add_servers('Pod3', 'other')
        self.assertEqual(200, self.nova.get(f'/servers/{server["id"]}', as_='admin').status)
        answer, calls = self.called(self.nova.request, 'GET', f'/servers/{server["id"]}')
        self.assertEqual(404, answer.status)
        self.assertLessEqual(calls, 2)


class TestDeadline(ReferencesTest):
    options = {'pods.max_references': LIMIT, 'pods.probe_timeout': 0.1, 'pods.gather_timeout': 0.2}

    def test_all_look_ups_of_a_request_share_one_deadline(self):
        for name in self.pods:
            self.cloud.pod(name).nova.faults.add(Hang(path='/images'))
        self.cloud.transport.real_time = True
        disks = [
            {'source_type': 'image', 'destination_type': 'volume', 'uuid': id_, 'volume_size': 1}
            for id_ in unknown(LIMIT)
        ]
        self.server(block_device_mapping_v2=disks)
        asked = [request for name in self.pods for request in self.seen(name) if '/images/' in request.path]
        # Each of them takes half of the deadline.
        self.assertLessEqual(len(asked), 4)


class TestStatements(ReferencesTest):
    def test_references_and_events_are_looked_up_with_one_query(self):
        servers = [each['id'] for each in self.cloud.lab.add_servers('Pod1', 'demo', count=LIMIT)]
        self.learn_servers()
        self.cloud.runtime.locator._cache.clear()
        statements = []
        event.listen(
            self.cloud.runtime.db.engine, 'before_cursor_execute', lambda *args: statements.append(str(args[2]))
        )
        events = [{'name': 'network-changed', 'server_uuid': id_, 'tag': 'port'} for id_ in servers]
        self.nova.post('/os-server-external-events', {'events': events}, as_='admin')
        self.assertEqual(1, sum('FROM routings' in each for each in statements))
        self.cloud.runtime.locator._cache.clear()
        del statements[:]
        self.server(hints={'different_host': servers})
        self.assertLess(sum('FROM routings' in each and 'IN (' in each for each in statements), 3)
