# SPDX-License-Identifier: Apache-2.0
"""Creates: the choice of the pod, the next candidate after a refusal, and the recorded routing."""

import json

from trio2o.db import bindings
from trio2o.db import jobs as db_jobs
from trio2o.lab.emulated.cinder import records
from trio2o.lab.emulated.faults import BalancerAnswers, DropAfter, Hang, Refuse, Status, StatusAfter, Truncate
from trio2o.tests.functional.operations.base import ConversationTest, ids

KINDS = ('server', 'volume')
JSON = (('Content-Type', 'application/json'),)
MISSING = '4f2e8d4c-6f1f-4e83-9a5e-3a8a4a6a0000'


class CreateTest(ConversationTest):
    pods = {'Pod1': 'az1', 'Pod2': 'az1', 'Pod3': 'az2'}

    def setUp(self):
        super().setUp()
        self.project = self.cloud.project_id('demo')

    def server(self, zone=None, hints=None, who='demo', **fields):
        body = {'server': {'name': 'server', 'flavorRef': '1', 'networks': 'none',
                           'imageRef': self.cloud.lab.image['id'], **fields}}  # fmt: skip
        if zone is not None:
            body['server']['availability_zone'] = zone
        if hints is not None:
            body['os:scheduler_hints'] = hints
        return self.nova.post('/servers', body, version='2.96', as_=who)

    def volume(self, zone=None, hints=None, **fields):
        body = {'volume': {'size': 1, **fields}}
        if zone is not None:
            body['volume']['availability_zone'] = zone
        if hints is not None:
            body['OS-SCH-HNT:scheduler_hints'] = hints
        return self.cinder.post('/volumes', body, version='3.70')

    def made(self, answer, kind='server'):
        """The name of the pod that has a new resource, which must be the one of the routing."""
        self.assertEqual(202, answer.status, answer.text)
        id_ = answer[kind]['id']
        (pod,) = (name for name in self.pods if id_ in self.held(name, kind))
        self.assertEqual(pod, self.pod_of(kind, id_))
        return pod

    def held(self, pod, kind):
        pod = self.cloud.pod(pod)
        return {'server': pod.nova.servers, 'volume': pod.cinder.volumes, 'snapshot': pod.cinder.snapshots}[kind]

    def bound(self):
        names = {pod_id: name for name, pod_id in self.cloud.pod_ids.items()}
        current = bindings.current(self.cloud.runtime.db, self.project)
        return sorted((one.az_name, names[one.pod_id]) for one in current)

    def repair(self):
        """Remove all faults and close the breakers."""
        for name in self.pods:
            for service in self.cloud.pod(name).each():
                service.faults.clear()
        self.cloud.runtime.client.breakers._states.clear()

    def heal(self):
        """Remove all faults and bindings."""
        self.repair()
        for binding in bindings.current(self.cloud.runtime.db, self.project):
            bindings.end(self.cloud.runtime.db, binding.id)


class TestZones(CreateTest):
    def test_create_with_zone_goes_to_pod_of_that_zone(self):
        self.assertEqual('Pod3', self.made(self.server('az2')))
        self.assertEqual('Pod1', self.made(self.server('az1')))
        self.assertEqual('Pod3', self.made(self.volume('az2'), 'volume'))

    def test_created_resource_shows_requested_zone(self):
        for zone in ('az1', 'az2'):
            id_ = self.server(zone)['server']['id']
            shown = self.nova.get(f'/servers/{id_}')['server']
            self.assertEqual(zone, shown['OS-EXT-AZ:availability_zone'])
            answer = self.volume(zone)
            self.assertEqual(zone, answer['volume']['availability_zone'])

    def test_create_in_unknown_zone_is_refused_with_400(self):
        answer = self.server('nowhere')
        self.assertEqual('The requested availability zone is not available', self.assert_own_words(answer, 400))
        self.assertIn('nowhere', self.assert_own_words(self.volume('nowhere'), 400))
        # Tenants do not know the name of the zone in the pod.
        self.assertEqual(400, self.server('nova').status)
        self.assertEqual([], [name for name in self.pods if self.held(name, 'server')])

    def test_create_without_zone_goes_to_first_pod_and_empty_zone_of_volume_is_refused(self):
        for zone in (None, ''):
            self.assertEqual('Pod1', self.made(self.server(zone)))
        self.assertEqual('Pod1', self.made(self.volume(None), 'volume'))
        self.assertEqual(400, self.volume('').status)

    def test_host_after_zone_is_used_for_admin_and_refused_for_member(self):
        answer = self.server('az2:pod3-compute-1', who='admin')
        self.assertEqual(202, answer.status, answer.text)
        self.assertIn(answer['server']['id'], self.held('Pod3', 'server'))
        self.assertEqual(403, self.server('az2:pod3-compute-1').status)

    def test_links_and_location_name_the_gateway(self):
        answer = self.server('az2')
        id_ = answer['server']['id']
        self.assertEqual(f'http://gateway.test:19998/v2.1/servers/{id_}', answer.headers['Location'])
        self.assertNotIn('pod3', answer.text)

    def test_invalid_create_is_refused_by_pod_and_not_tried_in_next(self):
        for fields in ({'flavorRef': 'no'}, {'name': ''}, {'imageRef': MISSING}, {'nonsense': 1}, {'key_name': 'no'}):
            answer = self.server('az1', **fields)
            self.assertEqual(400, answer.status)
            self.assertEqual(0, len(self.held('Pod2', 'server')))
        self.assertEqual([], self.seen('Pod2', method='POST'))

    def test_all_servers_of_min_count_are_recorded(self):
        answer = self.server('az2', min_count=3)
        self.assertEqual(202, answer.status)
        made = list(self.held('Pod3', 'server'))
        self.assertEqual(3, len(made))
        for id_ in made:
            self.assertEqual(200, self.nova.get(f'/servers/{id_}').status)
            self.assertEqual('Pod3', self.pod_of('server', id_))
        answer = self.server('az2', min_count=2, return_reservation_id=True)
        self.assertEqual({'reservation_id'}, set(answer.json))
        self.assertEqual(5, len(self.nova.get('/servers')['servers']))


class TestNextCandidate(CreateTest):
    # The flavors are recorded, so that no pod has to show them.
    run_jobs = True
    #: Faults after which the pod cannot have created anything: the HTML is that of a proxy without a server.
    FAULTS = (
        Refuse(),
        Status(status=501),
        Status(status=503),
        Status(status=503, body=b'{"serviceUnavailable": {"code": 503, "message": "no"}}', headers=JSON),
        # The middleware that cannot check the token.
        Status(
            503,
            body=b'{"message": "", "code": "503 Service Unavailable", "title": "Service Unavailable"}',
            headers=JSON,
        ),
    )

    def test_pod_is_unreachable_or_unavailable_and_next_is_tried(self):
        for fault in self.FAULTS:
            with self.subTest(fault=fault):
                self.break_pod('Pod1', fault)
                self.assertEqual('Pod2', self.made(self.server('az1')))
                self.assertEqual('Pod2', self.made(self.volume('az1'), 'volume'))
                self.heal()

    def test_create_over_quota_of_pod_goes_to_next_pod(self):
        self.cloud.pod('Pod1').nova.quota_sets[self.project] = {'instances': 0, 'cores': 0, 'ram': 0}
        self.cloud.pod('Pod1').cinder.quota_sets[self.project] = {'volumes': 0, 'gigabytes': 0}
        self.assertEqual('Pod2', self.made(self.server('az1')))
        self.assertEqual('Pod2', self.made(self.volume('az1'), 'volume'))

    def test_create_over_quota_of_all_pods_is_refused_as_over_quota(self):
        for name in self.pods:
            self.cloud.pod(name).nova.quota_sets[self.project] = {'instances': 0, 'cores': 0, 'ram': 0}
            self.cloud.pod(name).cinder.quota_sets[self.project] = {'volumes': 0, 'gigabytes': 0}
        answer = self.server('az1')
        self.assertEqual(403, answer.status)
        self.assertIn('uota exceeded', answer.fault)
        answer = self.volume('az1')
        self.assertEqual(413, answer.status)
        self.assertEqual('0', answer.headers['Retry-After'])

    def test_create_without_reachable_pod_is_answered_503(self):
        for fault in self.FAULTS:
            with self.subTest(fault=fault):
                for name in self.pods:
                    self.break_pod(name, fault)
                for answer in (self.server('az1'), self.volume('az1'), self.server(), self.volume()):
                    self.assert_own_words(answer, 503)
                    self.assertIn('Retry-After', answer.headers)
                self.assertIn('az1', self.server('az1').fault)
                self.heal()

    def test_create_is_never_sent_to_pod_of_another_zone(self):
        for name in ('Pod1', 'Pod2'):
            self.break_pod(name, Refuse())
        self.assert_own_words(self.server('az1'), 503)
        self.assertEqual({}, self.held('Pod3', 'server'))

    def test_pod_that_is_not_enabled_gets_no_create(self):
        for state in ('disabled', 'draining', 'maintenance'):
            self.cloud.set_pod('Pod1', state=state, reason='test')
            self.cloud.set_pod('Pod3', state=state, reason='test')
            self.cloud.runtime.registry.refresh()
            self.assertEqual('Pod2', self.made(self.server('az1')))
            self.assert_own_words(self.server('az2'), 503)

    def test_over_quota_in_one_pod_and_other_unreachable_is_403_or_503(self):
        self.cloud.pod('Pod1').nova.quota_sets[self.project] = {'instances': 0, 'cores': 0, 'ram': 0}
        self.break_pod('Pod2', Refuse())
        answer = self.server('az1')
        self.assertIn(answer.status, (403, 503))


class TestOutcomeUnknown(CreateTest):
    def test_create_with_unknown_outcome_is_504_and_resource_is_found_later(self):
        for kind in (DropAfter, Hang, Truncate):
            fault = kind(method='POST', times=1)
            with self.subTest(fault=fault):
                before = {kind: set(self.held('Pod1', kind)) for kind in ('server', 'volume')}
                self.break_pod('Pod1', fault)
                for answer in (self.server('az1'), self.volume('az1')):
                    self.assertIn('az1', self.assert_own_words(answer, 504))
                (server_id,) = set(self.held('Pod1', 'server')) - before['server']
                (volume_id,) = set(self.held('Pod1', 'volume')) - before['volume']
                # No other pod was tried, because the resource might be created twice.
                self.assertEqual({}, self.held('Pod2', 'server'))
                self.assertIn(server_id, ids(self.nova.get('/servers')['servers']))
                self.assertEqual(200, self.cinder.get(f'/volumes/{volume_id}').status)
                self.assertEqual(200, self.nova.get(f'/servers/{server_id}').status)
                self.assertEqual('Pod1', self.pod_of('volume', volume_id))
                self.heal()

    #: Answers to a create that the pod has carried out: of its proxy, and of the service after a late failure.
    LATE_ERRORS = (
        *(BalancerAnswers('html', status, is_processed=True, method='POST') for status in (200, 413)),
        BalancerAnswers('json', 401, is_processed=True, method='POST'),
        BalancerAnswers('empty', 202, is_processed=True, method='POST'),
        *(StatusAfter(status=status, method='POST') for status in (500, 502, 504, 599)),
        StatusAfter(status=500, body=b'{"computeFault": {"code": 500, "message": "x"}}', headers=JSON, method='POST'),
        StatusAfter(status=503, body=b'upstream connect error or disconnect/reset before headers', method='POST'),
        StatusAfter(status=503, body=b'', method='POST'),
        StatusAfter(503, body=b'{"error": {"code": 503, "message": "no upstream"}}', headers=JSON, method='POST'),
    )

    def test_create_answered_error_after_work_is_504_and_made_once(self):
        for fault in self.LATE_ERRORS:
            with self.subTest(fault=fault):
                before = {(name, kind): set(self.held(name, kind)) for name in self.pods for kind in KINDS}
                self.cloud.lab.clear_logs()
                self.break_pod('Pod1', fault)
                for answer, what_to_do in (
                    (self.server('az1'), 'list your servers before you retry'),
                    (self.volume('az1'), 'list your volumes before you retry'),
                ):
                    self.assertIn(what_to_do, self.assert_own_words(answer, 504))
                    self.assertNotIn('Retry-After', answer.headers)
                self.assertEqual([], self.seen('Pod2', method='POST') + self.seen('Pod2', 'cinder', method='POST'))
                self.assert_job_looks_in('Pod1')
                for kind in KINDS:
                    (made,) = {
                        id_ for name in self.pods for id_ in set(self.held(name, kind)) - before[name, kind]
                    }  # fmt: skip
                    client, path = (self.nova, 'servers') if kind == 'server' else (self.cinder, 'volumes')
                    self.assertIn(made, ids(client.get(f'/{path}')[path]))
                    self.assertEqual(200, client.get(f'/{path}/{made}').status)
                self.heal()

    def test_create_answered_error_in_only_pod_is_504(self):
        for fault in self.LATE_ERRORS:
            with self.subTest(fault=fault):
                self.break_pod('Pod3', fault)
                for answer in (self.server('az2'), self.volume('az2')):
                    self.assertIn('az2', self.assert_own_words(answer, 504))
                self.heal()

    def assert_job_looks_in(self, pod):
        pod_id = self.cloud.pod_ids[pod]
        jobs = db_jobs.list_(self.cloud.runtime.db)
        self.assertIn(pod_id, [job.resource_key for job in jobs if job.type == 'reconcile_routings'])


class TestBinding(CreateTest):
    def test_server_is_created_in_pod_of_earlier_volume(self):
        self.cloud.set_pod('Pod1', state='disabled', reason='test')
        self.cloud.runtime.registry.refresh()
        self.assertEqual('Pod2', self.made(self.volume('az1'), 'volume'))
        self.cloud.set_pod('Pod1', state='enabled', reason='test')
        self.cloud.runtime.registry.refresh()
        self.assertEqual('Pod2', self.made(self.server('az1')))
        self.assertEqual('Pod2', self.made(self.server()))
        self.assertEqual([('az1', 'Pod2')], self.bound())

    def test_project_with_resources_stays_bound_to_pod_that_fails_for_a_moment(self):
        self.made(self.server('az1'))
        self.break_pod('Pod1', Refuse())
        self.assertEqual('Pod2', self.made(self.server('az1')))
        self.assertEqual([('az1', 'Pod1')], self.bound())
        self.repair()
        self.assertEqual('Pod1', self.made(self.volume('az1'), 'volume'))

    def test_project_is_bound_to_pod_that_accepted_latest_create_if_another_fails_for_long(self):
        self.made(self.server('az1'))
        self.cloud.runtime.scheduler._rebind_seconds = 0.0
        self.break_pod('Pod1', Refuse())
        self.made(self.server('az1'))
        self.assertEqual([('az1', 'Pod2')], self.bound())
        self.repair()
        self.assertEqual('Pod2', self.made(self.volume('az1'), 'volume'))


class TestAffinity(CreateTest):
    def boot(self, zone=None, **mapping):
        return self.server(zone, imageRef='', block_device_mapping_v2=[
            {'source_type': 'volume', 'destination_type': 'volume', 'boot_index': 0, **mapping}
        ])  # fmt: skip

    def test_server_boots_in_pod_of_its_volume(self):
        for name in ('Pod3', 'Pod2', 'Pod1'):
            (volume,) = self.cloud.lab.add_volumes(name, 'demo')
            self.assertEqual(name, self.made(self.boot(uuid=volume['id'])))
            (volume,) = self.cloud.lab.add_volumes(name, 'demo')
            self.assertEqual(name, self.made(self.boot(self.pods[name], uuid=volume['id'])))

    def test_server_boots_in_pod_of_its_snapshot(self):
        (volume,) = self.cloud.lab.add_volumes('Pod3', 'demo')
        snapshot = records.new_snapshot(self.cloud.pod('Pod3').cinder, volume)
        self.assertEqual('Pod3', self.made(self.boot(source_type='snapshot', uuid=snapshot['id'], volume_size=1)))

    def test_volume_in_block_device_mapping_v1_selects_its_pod(self):
        (volume,) = self.cloud.lab.add_volumes('Pod3', 'demo')
        answer = self.server(imageRef='', block_device_mapping=[{'volume_id': volume['id'], 'device_name': 'vda'}])
        self.assertEqual('Pod3', self.made(answer))

    def test_scheduler_hints_with_servers_or_volumes_select_their_pod(self):
        (server,) = self.cloud.lab.add_servers('Pod3', 'demo')
        for hint in ({'same_host': [server['id']]}, {'different_host': server['id']}):
            self.assertEqual('Pod3', self.made(self.server(hints=hint)))
        (volume,) = self.cloud.lab.add_volumes('Pod3', 'demo')
        for hint in ({'same_host': volume['id']}, {'local_to_instance': server['id']}):
            self.assertEqual('Pod3', self.made(self.volume(hints=hint), 'volume'))

    def test_source_of_volume_or_snapshot_selects_its_pod(self):
        (volume,) = self.cloud.lab.add_volumes('Pod3', 'demo')
        snapshot = records.new_snapshot(self.cloud.pod('Pod3').cinder, volume)
        self.assertEqual('Pod3', self.made(self.volume(source_volid=volume['id']), 'volume'))
        self.assertEqual('Pod3', self.made(self.volume(snapshot_id=snapshot['id']), 'volume'))
        answer = self.cinder.post('/snapshots', {'snapshot': {'volume_id': volume['id']}})
        self.assertEqual('Pod3', self.made(answer, 'snapshot'))

    def assert_disagreement(self, answer, *words):
        message = self.assert_own_words(answer, 400)
        for word in words:
            self.assertIn(word, message)
        for name in self.pods:
            self.assertEqual([], self.seen(name, method='POST') + self.seen(name, 'cinder', method='POST'))

    def test_references_to_different_pods_or_zones_are_refused_with_400(self):
        (one,) = self.cloud.lab.add_volumes('Pod1', 'demo')
        (two,) = self.cloud.lab.add_volumes('Pod2', 'demo')
        (three,) = self.cloud.lab.add_volumes('Pod3', 'demo')
        (server,) = self.cloud.lab.add_servers('Pod3', 'demo')

        def boot(*volumes, **kwargs):
            return self.server(imageRef='', block_device_mapping_v2=[
                {'source_type': 'volume', 'destination_type': 'volume', 'boot_index': index, 'uuid': volume['id']}
                for index, volume in enumerate(volumes)
            ], **kwargs)  # fmt: skip

        self.assert_disagreement(boot(one, three), one['id'], three['id'], 'az1', 'az2')
        self.assert_disagreement(boot(one, two), one['id'], two['id'], 'az1')
        self.assert_disagreement(boot(one, zone='az2'), one['id'], 'az1', 'az2')
        self.assert_disagreement(boot(one, hints={'same_host': [server['id']]}), one['id'], server['id'], 'az1', 'az2')
        self.assert_disagreement(self.volume('az1', source_volid=three['id']), three['id'], 'az1', 'az2')

    def test_different_host_avoids_pod_of_hint_unless_zone_has_no_other(self):
        (server,) = self.cloud.lab.add_servers('Pod3', 'demo')
        (volume,) = self.cloud.lab.add_volumes('Pod3', 'demo')
        hint = {'different_host': [server['id'], MISSING]}
        self.assertNotEqual('Pod3', self.made(self.server(hints=hint, zone='az1')))
        self.assertEqual('Pod3', self.made(self.server(hints=hint, zone='az2')))
        hint = {'different_host': [volume['id']]}
        self.assertNotEqual('Pod3', self.made(self.volume('az1', hints=hint), 'volume'))
        self.assertEqual('Pod3', self.made(self.volume(hints=hint), 'volume'))

    def test_different_host_with_unavailable_pod_creates_in_another_pod(self):
        (server,) = self.cloud.lab.add_servers('Pod3', 'demo')
        self.assertEqual(200, self.nova.get(f'/servers/{server["id"]}').status)
        hint = {'different_host': [server['id'], MISSING]}
        self.break_pod('Pod3', Refuse())
        self.assertNotEqual('Pod3', self.made(self.server(hints=hint)))
        self.repair()
        self.cloud.set_pod('Pod3', state='maintenance', reason='test')
        self.assertNotEqual('Pod3', self.made(self.server(hints=hint)))

    def test_resource_of_another_project_is_answered_like_unknown_one(self):
        (volume,) = self.cloud.lab.add_volumes('Pod3', 'other')
        (server,) = self.cloud.lab.add_servers('Pod3', 'other')
        snapshot = records.new_snapshot(self.cloud.pod('Pod3').cinder, volume)
        (mine,) = self.cloud.lab.add_volumes('Pod1', 'demo')
        (my_server,) = self.cloud.lab.add_servers('Pod1', 'demo')
        for kind, path in ((volume, 'volumes'), (snapshot, 'snapshots')):
            self.assertEqual(200, self.cinder.get(f'/{path}/{kind["id"]}', as_='admin').status)
        self.assertEqual(200, self.nova.get(f'/servers/{server["id"]}', as_='admin').status)

        def asked(volume_id, server_id, snapshot_id):
            disk = {'source_type': 'volume', 'destination_type': 'volume', 'boot_index': 0, 'uuid': volume_id}
            both = {'volume_uuid': volume_id, 'instance_uuid': server_id}
            attached = {'volumeAttachment': {'volumeId': volume_id}}
            return [
                self.volume('az1', source_volid=volume_id),
                self.volume('az1', snapshot_id=snapshot_id),
                self.volume('az1', hints={'local_to_instance': server_id}),
                self.server(imageRef='', block_device_mapping_v2=[disk], zone='az1'),
                self.server(hints={'same_host': server_id}, zone='az1'),
                self.nova.post(f'/servers/{my_server["id"]}/os-volume_attachments', attached),
                self.cinder.post('/attachments', {'attachment': both}, version='3.27'),
                self.cinder.get(f'/volumes/{volume_id}'),
                self.cinder.get(f'/snapshots/{snapshot_id}'),
                self.nova.get(f'/servers/{server_id}'),
                self.nova.delete(f'/servers/{server_id}'),
            ]  # fmt: skip

        def reported(answers, *ids):
            texts = [answer.text for answer in answers]
            for one in ids:
                texts = [text.replace(one, 'ID') for text in texts]
            return [(answer.status, text) for answer, text in zip(answers, texts, strict=True)]

        theirs, nobodys = (volume['id'], server['id'], snapshot['id']), (MISSING,) * 3
        for fault in (None, Refuse()):
            if fault is not None:
                self.break_pod('Pod3', fault)
            for one, other in zip(reported(asked(*theirs), *theirs), reported(asked(*nobodys), MISSING), strict=True):
                if one[0] >= 300:
                    self.assertEqual(other, one)
                self.assertEqual(other[0], one[0], one)
        self.assertEqual('available', self.cinder.get(f'/volumes/{mine["id"]}')['volume']['status'])

    def test_unknown_reference_gets_answer_of_pod(self):
        answer = self.boot(uuid=MISSING)
        self.assertEqual(400, answer.status)
        self.assertIn(MISSING, answer.fault)
        self.assertEqual(404, self.volume(source_volid=MISSING).status)
        self.assertEqual(404, self.cinder.post('/snapshots', {'snapshot': {'volume_id': MISSING}}).status)

    def test_reference_to_unreachable_pod_is_answered_503(self):
        (volume,) = self.cloud.lab.add_volumes('Pod3', 'demo')
        self.cinder.get(f'/volumes/{volume["id"]}')
        self.break_pod('Pod3', Refuse())
        answer = self.boot(uuid=volume['id'])
        self.assertIn('az2', self.assert_own_words(answer, 503))
        self.assertEqual({}, self.held('Pod1', 'server'))


class TestAttach(CreateTest):
    def test_attach_within_one_pod_succeeds(self):
        (server,) = self.cloud.lab.add_servers('Pod2', 'demo')
        (volume,) = self.cloud.lab.add_volumes('Pod2', 'demo')
        answer = self.nova.post(
            f'/servers/{server["id"]}/os-volume_attachments', {'volumeAttachment': {'volumeId': volume['id']}}
        )
        self.assertEqual(200, answer.status, answer.text)
        self.assertEqual('in-use', self.cinder.get(f'/volumes/{volume["id"]}')['volume']['status'])

    def test_attach_across_pods_is_refused_with_400(self):
        (server,) = self.cloud.lab.add_servers('Pod2', 'demo')
        for name in ('Pod1', 'Pod3'):
            (volume,) = self.cloud.lab.add_volumes(name, 'demo')
            calls = (
                (self.nova.post, f'/servers/{server["id"]}/os-volume_attachments',
                 {'volumeAttachment': {'volumeId': volume['id']}}),
                (self.nova.put, f'/servers/{server["id"]}/os-volume_attachments/{MISSING}',
                 {'volumeAttachment': {'volumeId': volume['id']}}),
                (self.cinder.post, f'/volumes/{volume["id"]}/action',
                 {'os-attach': {'instance_uuid': server['id'], 'mountpoint': '/dev/vdb'}}),
            )  # fmt: skip
            for send, path, body in calls:
                answer = send(path, body)
                message = self.assert_own_words(answer, 400)
                self.assertIn(server['id'], message)
                self.assertIn(volume['id'], message)
                self.assertIn('az1', message)
        for name in self.pods:
            for service in ('nova', 'cinder'):
                self.assertEqual({'GET'}, {request.method for request in self.seen(name, service)} | {'GET'})
        self.assertEqual('available', volume['status'])

    def test_attach_of_unknown_volume_gets_answer_of_pod(self):
        (server,) = self.cloud.lab.add_servers('Pod2', 'demo')
        answer = self.nova.post(
            f'/servers/{server["id"]}/os-volume_attachments', {'volumeAttachment': {'volumeId': MISSING}}
        )
        wanted = self.cloud.direct('Pod2').post(
            f'/servers/{server["id"]}/os-volume_attachments', {'volumeAttachment': {'volumeId': MISSING}}
        )
        self.assertEqual((wanted.status, wanted.json), (answer.status, answer.json))


class TestZoneNamesOfPods(CreateTest):
    def test_zone_is_translated_to_name_in_pod_and_back(self):
        self.cloud.set_pod('Pod3', pod_az_name='nova')
        self.cloud.runtime.registry.refresh()
        answer = self.server('az2')
        self.assertEqual('nova', json.loads(self.seen('Pod3', method='POST')[-1].body)['server']['availability_zone'])
        shown = self.nova.get(f'/servers/{answer["server"]["id"]}', version='2.96')['server']
        self.assertEqual('az2', shown['OS-EXT-AZ:availability_zone'])
        self.assertEqual('az2', shown['pinned_availability_zone'])
        listed = self.nova.get('/servers/detail?availability_zone=az2', version='2.96')['servers']
        self.assertEqual([answer['server']['id']], ids(listed))

    def test_null_zone_is_sent_to_pod_unchanged(self):
        for name in self.cloud.pod_ids:
            self.cloud.set_pod(name, pod_az_name='nova')
        self.cloud.runtime.registry.refresh()
        body = {'name': 's', 'flavorRef': '1', 'imageRef': self.cloud.lab.image['id'], 'availability_zone': None}
        self.nova.post('/servers', {'server': body})
        sent = [
            each
            for name in self.cloud.pod_ids
            for each in self.seen(name, method='POST')
            if each.path.endswith('/servers')
        ]
        self.assertEqual([None], [json.loads(each.body)['server']['availability_zone'] for each in sent])
