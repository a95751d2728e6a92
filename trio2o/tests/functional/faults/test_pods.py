# SPDX-License-Identifier: Apache-2.0
"""Each kind of request to a pod, with each fault."""

import logging

import fixtures

from trio2o.lab.emulated.faults import (
    BalancerAnswers,
    Drop,
    DropAfter,
    DropMidBody,
    Garbage,
    Hang,
    Redirect,
    Refusal,
    Refuse,
    Slow,
    Status,
    Truncate,
    WrongVersion,
)
from trio2o.tests.functional.operations.base import ConversationTest

HTML = b'<html><body>' + b'Bad Gateway ' * 100 + b'</body></html>'
#: Faults of the connection.
TRANSPORT = (Refuse(), Slow(1000.0), Hang(), Drop(), DropAfter(), DropMidBody(), Truncate())
ERROR_ANSWERS = tuple(Status(status=status, body=HTML) for status in (500, 502, 503, 504, 599))
NONSENSE = tuple(
    Garbage(body=body)
    for body in (
        b'',
        b'{',
        b'\x00\xff',
        HTML,
        b'null',
        b'7',
        b'"x"',
        b'[]',
        b'[[]]',
        b'{}',
        b'{"server": []}',
        b'{"server": {"id": 7}}',
        b'{"servers": {}}',
        b'{"servers": [[]]}',
        b'{"servers": [{"id": null}]}',
        b'{"servers": [], "servers_links": 7}',
        b'{"servers": [{"id": "x"}], "servers_links": [7]}',
        b'{"limits": 7}',
        b'{"limits": {"absolute": []}}',
        b'{"limits": {"absolute": {"a": "b", "c": []}}}',
        b'{"limits": {"absolute": {}}}',
        b'{"volume-summary": {"total_size": "x"}}',
        b'{"events": [null]}',
        b'{"volume": {"id": {}}}',
        b'{"volumes": [{"id": "x", "created_at": 7}], "count": "x"}',
        b'{"availabilityZoneInfo": [{}]}',
        b'{"flavor": 7}',
        b'{"flavors": null}',
        b'{"server": {"id": "x", "created": [], "tenant_id": {}}}',
    )  # fmt: skip
)
ALL = (*TRANSPORT, *ERROR_ANSWERS, *NONSENSE)


class TestFaultsByHandler(ConversationTest):
    """Pod1 works. Pod2 has faults, and holds a server and a volume."""

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG, nuke_handlers=True))
        self.well = [self.cloud.lab.add_servers('Pod1', 'demo')[0]['id']]
        self.server_id = self.cloud.lab.add_servers('Pod2', 'demo')[0]['id']
        self.volume_id = self.cloud.lab.add_volumes('Pod2', 'demo')[0]['id']
        self.nova.get(f'/servers/{self.server_id}')
        self.cinder.get(f'/volumes/{self.volume_id}')
        self.number = 0

    def forget(self):
        for kind, id_ in (('server', self.server_id), ('volume', self.volume_id)):
            self.cloud.runtime.locator.forget(kind, id_)

    def repair(self):
        for pod in self.cloud.lab.pods.values():
            for service in pod.each():
                service.faults.clear()
        self.cloud.runtime.client.breakers._states.clear()

    def each(self, call, faults=ALL, is_sound=lambda fault, answer: True, pod='Pod2'):
        """Send a request with each fault.

        :param is_sound: function that checks the answer
        :param pod: the pod with the faults
        """
        for fault in faults:
            with self.subTest(fault=fault):
                self.break_pod(pod, fault)
                answer = call()
                self.assertNotIn(b'Unexpected API Error', answer.body, fault)
                self.assertNotIn(b'Traceback', answer.body)
                if answer.status in (503, 504) and HTML not in answer.body:
                    self.assert_own_words(answer, answer.status)
                self.assertTrue(is_sound(fault, answer), (fault, answer.status, answer.body[:300]))
                self.repair()
        self.assertNotIn('Unexpected error', self.log.output)
        self.assertNotIn(self.cloud.token(), self.log.output)

    def test_forwarded_read_with_fault_is_503_or_answer_of_pod(self):
        def is_sound(fault, answer):
            if fault in TRANSPORT:
                return answer.status == 503 and 'Retry-After' in answer.headers
            if fault in ERROR_ANSWERS:
                return answer.status == fault.status and answer.body == HTML
            return answer.status == 200 and answer.body == fault.body

        self.each(lambda: self.nova.get(f'/servers/{self.server_id}'), is_sound=is_sound)
        self.each(lambda: self.cinder.get(f'/volumes/{self.volume_id}'), is_sound=is_sound)
        self.assertEqual(200, self.nova.get(f'/servers/{self.server_id}').status)

    def test_forwarded_write_with_fault_is_503_or_504_or_answer_of_pod(self):
        def is_sound(fault, answer):
            if fault in TRANSPORT:
                return answer.status == (503 if isinstance(fault, Refuse) else 504)
            if fault in ERROR_ANSWERS:
                return answer.status == (503 if fault.status == 503 else 504)
            return answer.status == 200

        self.each(lambda: self.nova.post(f'/servers/{self.server_id}/action', {'lock': None}), is_sound=is_sound)

    def test_forwarded_write_answered_500_by_the_service_has_its_answer(self):
        self.each(
            lambda: self.nova.post(f'/servers/{self.server_id}/action', {'lock': None}), (Refusal(500),),
            is_sound=lambda fault, answer: answer.status == 500 and b'computeFault' in answer.body,
        )  # fmt: skip

    def test_unknown_id_is_503_unless_all_pods_answer(self):
        """The answer is 404 only after every pod has answered 404."""

        def call():
            self.number += 1
            id_ = f'4f2e8d4c-6f1f-4e83-9a5e-{self.number:012x}'
            return self.nova.get(f'/servers/{id_}')

        self.each(call, is_sound=lambda fault, answer: answer.status == (503 if b'"id"' not in self.body(fault) else
                                                                         answer.status))  # fmt: skip
        self.assertEqual(404, call().status)

    def body(self, fault):
        return fault.body if isinstance(fault, Garbage) else b''

    def test_list_without_faulty_pod_is_503(self):
        for path in ('/servers', '/servers/detail', '/servers/detail?limit=2', '/servers?sort_key=display_name'):
            self.each(
                lambda path=path: self.nova.get(path),
                is_sound=lambda fault, answer: answer.status == 503 or self.is_readable(fault, answer),
            )
        self.each(
            lambda: self.cinder.get('/volumes/detail?with_count=1', version='3.45'),
            is_sound=lambda fault, answer: answer.status == 503 or self.is_readable(fault, answer),
        )

    def is_readable(self, fault, answer):
        """Whether the pod sent a list, though a wrong one."""
        return answer.status == 200 and isinstance(fault, Garbage) and b'": [' in fault.body

    def is_skipped(self, fault, answer, known=''):
        """Whether an answer without the part of the pod is right: only what shows that it is down may be left out."""
        if isinstance(fault, Slow | Hang | Garbage) and not self.is_readable(fault, answer):
            return answer.status == 503
        return answer.status == 200 and known in answer.text

    def test_list_has_servers_of_reachable_pod_if_option_is_on(self):
        self.skip_down_pods()
        for path in ('/servers', '/servers/detail', '/servers/detail?limit=1', '/servers?sort_key=display_name'):
            self.each(
                lambda path=path: self.nova.get(path),
                is_sound=lambda fault, answer: self.is_skipped(fault, answer, self.well[0]),
            )
        volume_id = self.cloud.lab.add_volumes('Pod1', 'demo')[0]['id']
        self.each(
            lambda: self.cinder.get('/volumes/detail?with_count=1', version='3.45'),
            is_sound=lambda fault, answer: self.is_skipped(fault, answer, volume_id),
        )

    def test_page_after_marker_with_fault_is_no_500(self):
        for marker in (self.server_id, self.well[0]):
            self.each(
                lambda marker=marker: self.nova.get(f'/servers?limit=5&marker={marker}'),
                is_sound=lambda fault, answer: (
                    answer.status in (200, 400, 503) or answer.status == getattr(fault, 'status', None)
                ),
            )

    def test_limits_with_fault_are_200(self):
        self.each(lambda: self.nova.get('/limits'), is_sound=lambda fault, answer: answer.status == 200)
        self.each(lambda: self.cinder.get('/limits'), is_sound=lambda fault, answer: answer.status == 200)

    def test_sum_with_fault_is_503(self):
        for call in (
            lambda: self.cinder.get('/volumes/summary', version='3.36'),
            lambda: self.nova.get('/os-availability-zone/detail', as_='admin'),
        ):
            self.each(call, is_sound=lambda fault, answer: answer.status == 503)

    def test_sum_with_fault_is_200_if_option_is_on(self):
        self.skip_down_pods()
        for call in (
            lambda: self.cinder.get('/volumes/summary', version='3.36'),
            lambda: self.nova.get('/os-availability-zone/detail', as_='admin'),
        ):
            self.each(call, is_sound=self.is_skipped)

    def test_create_with_fault_is_503_or_504(self):
        def server(zone):
            return self.nova.post('/servers', {'server': {
                'name': 'n', 'flavorRef': '1', 'networks': 'none', 'availability_zone': zone,
                'imageRef': self.cloud.lab.image['id'],
            }}, version='2.96')  # fmt: skip

        def is_sound(fault, answer):
            if isinstance(fault, Refuse):
                return answer.status == 503
            if fault in TRANSPORT or fault in ERROR_ANSWERS:
                return answer.status == (503 if getattr(fault, 'status', 0) == 503 else 504)
            # Only some of the answers show a resource.
            return answer.status == 504 or (answer.status == 200 and b'": {' in fault.body)

        self.each(lambda: server('az2'), is_sound=is_sound)
        self.assertEqual(202, server('az2').status)
        self.each(lambda: self.cinder.post('/volumes', {'volume': {'size': 1, 'availability_zone': 'az2'}}),
                  is_sound=is_sound)  # fmt: skip

    def test_attach_of_volume_in_faulty_pod_is_400(self):
        def attach():
            self.forget()
            return self.nova.post(
                f'/servers/{self.well[0]}/os-volume_attachments', {'volumeAttachment': {'volumeId': self.volume_id}}
            )

        self.each(attach, is_sound=lambda fault, answer: answer.status == 400 and self.volume_id in answer.text)

    def test_replicated_object_is_read_from_other_pod(self):
        for client, path in ((self.nova, '/flavors'), (self.nova, '/os-keypairs'), (self.cinder, '/types')):
            self.each(
                lambda client=client, path=path: client.get(path), faults=(*TRANSPORT, *ERROR_ANSWERS),
                is_sound=lambda fault, answer: answer.status == 200,
            )  # fmt: skip
            for service in self.cloud.pod('Pod1').each():
                service.faults.add(Status(status=500, body=HTML))
            self.assertEqual(200, client.get(path).status)
            for service in self.cloud.pod('Pod1').each():
                service.faults.clear()

    def test_replicated_write_succeeds_in_first_pod(self):
        """Pod1 gives the answer; a job repeats the write in Pod2."""

        def flavor():
            self.number += 1
            body = {'name': f'f{self.number}', 'ram': 1, 'vcpus': 1, 'disk': 1, 'id': f'f{self.number}'}
            return self.nova.post('/flavors', {'flavor': body}, as_='admin')

        self.each(flavor, (*TRANSPORT, *ERROR_ANSWERS), is_sound=lambda fault, answer: answer.status == 200)

        def volume_type():
            self.number += 1
            return self.cinder.post('/types', {'volume_type': {'name': f't{self.number}'}}, as_='admin')

        self.each(volume_type, (*TRANSPORT, *ERROR_ANSWERS), is_sound=lambda fault, answer: answer.status == 200)

        def keypair():
            self.number += 1
            return self.nova.post('/os-keypairs', {'keypair': {'name': f'k{self.number}'}})

        self.each(keypair, (*TRANSPORT, *ERROR_ANSWERS), is_sound=lambda fault, answer: answer.status in (200, 201))

    def test_event_of_server_in_reachable_pod_succeeds(self):
        body = {'events': [{'name': 'network-changed', 'server_uuid': id_} for id_ in (self.well[0], self.server_id)]}

        def is_sound(fault, answer):
            return answer.status == 207 and [event['code'] for event in answer['events']][0] == 200

        self.each(
            lambda: self.nova.post('/os-server-external-events', body, as_='admin', version='2.76'), is_sound=is_sound
        )

    def test_version_above_maximum_of_pod_makes_its_servers_unknown_and_is_406_for_server(self):
        """A pod that supports fewer versions than its version document says."""
        self.each(
            lambda: self.nova.get('/servers', version='2.96'), faults=(WrongVersion(minor=50),),
            is_sound=lambda fault, answer: (
                answer.status == 200 and self.well[0] in answer.text and 'UNKNOWN' in answer.text
            ),
        )  # fmt: skip
        self.each(
            lambda: self.nova.get(f'/servers/{self.server_id}', version='2.96'), faults=(WrongVersion(minor=50),),
            is_sound=lambda fault, answer: answer.status == 406,
        )  # fmt: skip

    def test_read_that_any_pod_answers_is_not_refused_for_what_is_before_one(self):
        """The gateway has validated the token, and no answer here is that of the service to the request."""
        router = (
            b'{"message": "The resource could not be found.<br />", "code": "404 Not Found", "title": "Not Found"}'
        )
        faults = (
            *(BalancerAnswers(form, status) for form in ('html', 'json', 'empty') for status in (401, 403, 404, 429)),
            *(BalancerAnswers(form, 200) for form in ('html', 'empty')),
            Refusal(401),
            Refusal(429),
            Redirect(),
            Status(404, body=router, headers=(('Content-Type', 'application/json'),)),
        )
        project = self.cloud.project_id('demo')
        paths = ('/limits', f'/os-quota-sets/{project}', '/extensions')
        for client, path in (
            *((self.nova, path) for path in ('/flavors', '/os-keypairs', *paths)),
            *((self.cinder, path) for path in ('/types', *paths)),
        ):
            with self.subTest(path=path):
                self.each(
                    lambda client=client, path=path: client.get(path), faults, pod='Pod1',
                    is_sound=lambda fault, answer: answer.status == 200,
                )  # fmt: skip

    def test_refusal_of_service_or_of_all_pods_is_the_answer(self):
        self.each(
            lambda: self.nova.get('/flavors'), (Refusal(403),), pod='Pod1',
            is_sound=lambda fault, answer: answer.status == 403,
        )  # fmt: skip
        for pod in self.cloud.lab.pods:
            self.break_pod(pod, BalancerAnswers('html', 401))
        self.assertEqual(401, self.nova.get('/flavors').status)

    def test_image_is_unknown_only_if_all_pods_say_so(self):
        path = '/images/e5b47e15-0000-4000-8000-00000000000e'
        self.assertEqual(404, self.nova.get(path).status)
        faults = (Refuse(), Drop(), BalancerAnswers(), BalancerAnswers('json', 401), Redirect(), Status(status=503))
        found = f'/images/{self.cloud.lab.image["id"]}'
        for pod in self.cloud.lab.pods:
            self.each(
                lambda: self.nova.get(path), faults, pod=pod, is_sound=lambda fault, answer: answer.status == 503
            )
            self.each(
                lambda: self.nova.get(found), faults, pod=pod, is_sound=lambda fault, answer: answer.status == 200
            )

    def test_write_to_any_pod_without_answer_is_504_and_not_to_be_repeated(self):
        path = f'/servers/{self.server_id}/action'
        self.each(
            lambda: self.nova.post(path, {'nonsense': None}), (Drop(), DropAfter()), pod='Pod1',
            is_sound=lambda fault, answer: answer.status == 504 and 'Retry-After' not in answer.headers,
        )  # fmt: skip

    def test_request_to_any_pod_is_answered_by_reachable_pod(self):
        self.each(lambda: self.nova.get('/extensions'), is_sound=lambda fault, answer: answer.status == 200)
        for service in self.cloud.pod('Pod1').each():
            service.faults.add(Status(status=503, body=HTML))
        self.assertEqual(200, self.nova.get('/extensions').status)
        answer = self.nova.post(f'/servers/{self.server_id}/action', {'nonsense': None})
        self.assertEqual(400, answer.status)
