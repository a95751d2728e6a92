# SPDX-License-Identifier: Apache-2.0
"""Which 404 is the word of a service."""

import testtools

from trio2o.lab.emulated.faults import BalancerAnswers
from trio2o.pods.own_answers import is_missing, is_missing_or_unknown_path, is_unknown_path
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
            self.assertTrue(is_missing_or_unknown_path(answer(body), 'GET'), body)
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
            self.assertFalse(is_missing_or_unknown_path(each, 'GET'), each)

    def test_router_knows_no_path_and_proves_nothing(self):
        for body, media_type in (
            (b'404 Not Found\n\nThe resource could not be found.\n\n\n  ', 'text/plain'),
            (b'<title>404 Not Found</title><h1>404 Not Found</h1>The resource could not be found.<br />', 'text/html'),
            (b'{"message": "The resource could not be found.", "code": "404 Not Found", "title": "Not Found"}', JSON),
        ):
            found = answer(body, media_type)
            self.assertEqual((True, False), (is_unknown_path(found), is_missing(found)))
            self.assertTrue(is_missing_or_unknown_path(found, 'GET'))

    def test_head_is_judged_by_its_type(self):
        self.assertTrue(is_missing_or_unknown_path(answer(b''), 'HEAD'))
        self.assertFalse(is_missing_or_unknown_path(answer(b'', 'text/html'), 'HEAD'))
