# SPDX-License-Identifier: Apache-2.0
"""Bodies of creates were parsed and written again: NaN became null, and large integers floats. Bodies that the gateway
could not read were sent to a pod unchanged, which might create a server that the quota did not count."""

import json

from trio2o.tests.functional.operations.base import ConversationTest


class TestBodies(ConversationTest):
    def sent(self, method='POST'):
        return self.seen('Pod1', method=method)[-1].body

    def create(self, body, **kwargs):
        return self.nova.post('/servers', body=body, version='2.96', **kwargs)

    def test_body_without_zone_is_sent_byte_for_byte(self):
        image = self.cloud.lab.image['id'].encode()
        body = (
            b'{ "server": {"name": "x", "flavorRef": "1", "networks": "none", "imageRef": "%s"},'
            b' "os:scheduler_hints": {"a": NaN, "b": 1234567890123456789012345, "c": "\\ud800", "c": 1.10} }' % image
        )
        self.create(body)
        self.assertEqual(body, self.sent())

    def test_body_with_zone_loses_only_the_zone(self):
        body = (
            b'{"server": {"name": "x", "flavorRef": "1", "networks": "none", "availability_zone": "az1", "b": NaN,'
            b' "c": 123456789012345678901234567890}}'
        )
        self.create(body)
        wanted = body.replace(b'"availability_zone": "az1", ', b'')
        self.assertEqual(json.dumps(json.loads(wanted)), json.dumps(json.loads(self.sent())))

    def test_malformed_body_is_400_and_not_sent(self):
        self.cloud.lab.clear_logs()
        for body in (b'{', b'{"server": {"name": %s}}' % (b'9' * 5000), b'[' * 4000 + b']' * 4000,
                     '{"server": {}}'.encode('utf-16'), b'\xef\xbb\xbf{"server": {}}'):  # fmt: skip
            answer = self.create(body)
            self.assertEqual((400, 'Malformed request body'), (answer.status, answer.fault))
        self.assertEqual([], self.seen('Pod1') + self.seen('Pod2'))
        self.assertEqual(415, self.create(b'<server/>', headers={'Content-Type': 'text/xml'}).status)
