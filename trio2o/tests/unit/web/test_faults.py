# SPDX-License-Identifier: Apache-2.0
"""Errors have the form of Nova's and Cinder's, and do not name pods."""

import json

import nova.api.openstack.wsgi
import testtools
import webob.exc

from trio2o import cinder_apigw, exception, nova_apigw
from trio2o.web import faults
from trio2o.web.microversion import Version

NOVA, CINDER = nova_apigw.SERVICE, cinder_apigw.SERVICE


def classes(base=exception.Trio2oException):
    for found in base.__subclasses__():
        if found.__module__ == exception.__name__:
            yield found
        yield from classes(found)


class TestFaults(testtools.TestCase):
    def test_faults_equal_those_of_nova(self):
        for status in (400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 429, 500, 501, 503, 504):
            wrapped = webob.exc.status_map.get(status)
            if wrapped is None:
                continue
            theirs = nova.api.openstack.wsgi.Fault(wrapped(explanation='why', headers={'Retry-After': '7'}))
            theirs = theirs(nova.api.openstack.wsgi.Request.blank('/'))
            ours = faults.fault(status, 'why', [('Retry-After', '7')])
            (key,), (our_key,) = json.loads(theirs.body), json.loads(ours.body)
            if status == 413:
                self.assertEqual('overLimit', our_key)  # Cinder uses this key; Nova does not any more
                continue
            self.assertEqual(key, our_key, status)
            self.assertEqual(json.loads(theirs.body)[key]['message'], json.loads(ours.body)[key]['message'])
            self.assertEqual(json.loads(theirs.body)[key]['code'], json.loads(ours.body)[key]['code'])

    def test_each_exception_has_an_answer_without_pod_names(self):
        for found in classes():
            if issubclass(found, exception.PodError):
                error = found('Pod7', 'http://pod7.example.org refused')
            elif found is exception.RouteNotFound:
                error = found()
            elif found is exception.MethodNotAllowed:
                error = found(['GET'])
            else:
                error = found('some words')
            for service in (NOVA, CINDER):
                answer = faults.answer(service, error, None, 'application/json')
                self.assertEqual(error.code, answer.status)
                self.assertNotIn(b'od7', answer.body)
                self.assertIsInstance(json.loads(answer.body), dict)

    def test_unexpected_error_is_500_without_its_text(self):
        answer = faults.answer(NOVA, RuntimeError('the password is secret'), Version(2, 1))
        self.assertEqual(500, answer.status)
        self.assertNotIn(b'secret', answer.body)
        self.assertEqual('compute 2.1', answer.header('OpenStack-API-Version'))

    def test_retry_after_is_a_header(self):
        answer = faults.answer(NOVA, exception.ServiceUnavailable('down', retry_after=5), Version(2, 1))
        self.assertEqual((503, '5'), (answer.status, answer.header('Retry-After')))
        self.assertEqual('serviceUnavailable', next(iter(json.loads(answer.body))))

    def test_unknown_path_gets_answer_of_webob(self):
        for accept in ('', '*/*', 'text/html', 'application/json', 'application/xml', 'nonsense;;'):
            reported = faults.answer(NOVA, exception.RouteNotFound(), None, accept)
            request = webob.Request.blank('/x', environ={'HTTP_ACCEPT': accept})
            theirs = request.get_response(webob.exc.HTTPNotFound())
            self.assertEqual(theirs.body, reported.body)
            self.assertEqual(theirs.headers['Content-Type'], reported.header('Content-Type'))

    def test_refused_version_is_in_one_header(self):
        error = exception.NotAcceptable('no', {'OpenStack-API-Version': 'compute 2.999'})
        answer = faults.answer(NOVA, error, Version(2, 1))
        self.assertEqual(
            ['compute 2.999'], [value for name, value in answer.headers if name == 'OpenStack-API-Version']
        )
