# SPDX-License-Identifier: Apache-2.0
"""Which answers are the word of a service."""

import testtools

from trio2o.lab.emulated.faults import BalancerAnswers
from trio2o.pods.own_answers import is_foreign, is_missing, is_unknown_path
from trio2o.web.call import Answer

JSON = 'application/json; charset=UTF-8'


def answer(body, media_type=JSON, status=404):
    return Answer(status, [('content-type', media_type)] if media_type else [], body)


class TestOwnAnswers(testtools.TestCase):
    def test_fault_of_service_is_missing(self):
        for body in (
            b'{"itemNotFound": {"code": 404, "message": "Instance x could not be found."}}',
            b'{"computeFault": {"code": 404, "message": "Gone."}}',
            b'{"errors": [{"status": 404, "title": "Not Found", "detail": "No resource provider."}]}',
        ):
            self.assertTrue(is_missing(answer(body)), body)
            self.assertFalse(is_foreign(answer(body), 'GET', is_write=False), body)
            for other in (answer(body, status=200), answer(body, 'text/plain'), answer(body, None)):
                self.assertFalse(is_missing(other), other)

    def test_answer_of_balancer_is_neither(self):
        bodies = [
            b'',
            b'null',
            b'[]',
            b'7',
            b'{"itemNotFound": 7}',
            b'{"itemNotFound": {"code": 500}}',
            b'{"errors": 7}',
        ]
        answers = [answer(body) for body in bodies]
        for form in ('html', 'text', 'json', 'empty'):
            response = BalancerAnswers(form).response()
            answers.append(Answer(404, response.headers, response.body))
        for each in answers:
            self.assertFalse(is_missing(each), each)
            self.assertTrue(is_foreign(each, 'GET', is_write=False), each)

    def test_router_knows_no_path_and_proves_nothing(self):
        for body, media_type in (
            (b'404 Not Found\n\nThe resource could not be found.\n\n\n  ', 'text/plain'),
            (b'<title>404 Not Found</title><h1>404 Not Found</h1>The resource could not be found.<br />', 'text/html'),
            (b'{"message": "The resource could not be found.", "code": "404 Not Found", "title": "Not Found"}', JSON),
        ):
            found = answer(body, media_type)
            self.assertEqual((True, False), (is_unknown_path(found), is_missing(found)))
            self.assertFalse(is_foreign(found, 'GET', is_write=False))

    def test_head_is_judged_by_its_type(self):
        self.assertFalse(is_foreign(answer(b''), 'HEAD', is_write=False))
        self.assertTrue(is_foreign(answer(b'', 'text/html'), 'HEAD', is_write=False))

    def test_refusal_of_write_counts_only_in_a_form_of_the_service(self):
        for status, body in (
            (400, b'{"badRequest": {"code": 400, "message": "x"}}'),
            (403, b'{"forbidden": {"code": 403, "message": "x"}}'),
            (409, b'{"conflictingRequest": {"code": 409, "message": "x"}}'),
            (413, b'{"overLimit": {"code": 413, "message": "x", "retryAfter": "0"}}'),
            (413, b'{"message": "x", "code": "413 Request Entity Too Large", "title": "Request Entity Too Large"}'),
            (401, b'{"error": {"code": 401, "title": "Unauthorized", "message": "x"}}'),
            (404, b'{"itemNotFound": {"code": 404, "message": "x"}}'),
        ):
            self.assertFalse(is_foreign(answer(body, status=status), 'POST', is_write=True), body)
            self.assertTrue(is_foreign(answer(body, 'text/html', status=status), 'POST', is_write=True), body)
        for status in (400, 401, 403, 404, 408, 409, 413, 429):
            for form in ('html', 'text', 'json', 'empty'):
                response = BalancerAnswers(form, status).response()
                each = Answer(status, response.headers, response.body)
                self.assertTrue(is_foreign(each, 'DELETE', is_write=True), each)
                self.assertEqual(status == 404, is_foreign(each, 'GET', is_write=False), each)

    def test_success_is_json_or_empty(self):
        self.assertFalse(is_foreign(answer(b'{}', status=200), 'GET', is_write=False))
        self.assertFalse(is_foreign(answer(b'{"metadata": {}}', 'text/html', 200), 'GET', is_write=False))
        self.assertFalse(is_foreign(answer(b'', 'text/html', 202), 'POST', is_write=True))
        for is_write in (False, True):
            self.assertTrue(is_foreign(answer(b'<html>Back soon</html>', 'text/html', 200), 'GET', is_write=is_write))

    def test_server_error_of_write_counts_if_nothing_was_carried_out_or_the_service_says_it(self):
        for status, body, media_type in (
            (500, b'{"computeFault": {"code": 500, "message": "x"}}', JSON),
            (501, b'', None),
            (503, b'{"serviceUnavailable": {"code": 503, "message": "x"}}', JSON),
            (503, b'<html>No server is available to handle this request.</html>', 'text/html'),
        ):
            self.assertFalse(is_foreign(answer(body, media_type, status), 'POST', is_write=True), body)
        for status in (500, 502, 503, 504):
            for form in ('text', 'json', 'empty'):
                response = BalancerAnswers(form, status).response()
                each = Answer(status, response.headers, response.body)
                self.assertEqual((True, False), tuple(is_foreign(each, 'POST', is_write=way) for way in (True, False)))
