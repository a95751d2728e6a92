# SPDX-License-Identifier: Apache-2.0
"""Bodies of creates were parsed and written again: NaN became null, and large integers floats. Bodies that the gateway
could not read were sent to a pod unchanged, which might create a server that the quota did not count. Lists
were parsed and written again, too."""

import json
import uuid

from trio2o.db import routings
from trio2o.lab.emulated.faults import Garbage
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


class TestLists(ConversationTest):
    def listed(self, path, service, key, items):
        """The items of a list, as bytes, when each pod lists one of those given."""
        for pod, item in zip(('Pod1', 'Pod2'), items, strict=True):
            fault = Garbage(body=b'{"%s": [%s]}' % (key.encode(), item), path=path)
            getattr(self.cloud.pod(pod), service).faults.add(fault)
        answer = getattr(self.cloud, service).get(path)
        self.assertEqual(200, answer.status, answer.text)
        start = b'{"%s":[' % key.encode()
        self.assertEqual((start, b']}'), (answer.body[: len(start)], answer.body[-2:]))
        return answer.body[len(start) : -2]

    def test_items_of_lists_lose_nothing_but_their_zones(self):
        for path, service, key, zone, created in (
            ('/servers/detail', 'nova', 'servers', 'OS-EXT-AZ:availability_zone', 'created'),
            ('/volumes/detail', 'cinder', 'volumes', 'availability_zone', 'created_at'),
        ):
            item = (
                '{"id" : "%s", "a": 12345678901234567890123, "b":[ 1.10 ], "%s": "nova", "%s": "2026-01-01T0%s:00:00"}'
            )
            ids = [str(uuid.UUID(int=number)) for number in (1, 2)]
            items = [(item % (top_id, zone, created, hour)).encode() for top_id, hour in zip(ids, '21', strict=True)]
            wanted = b','.join(items).replace(b'nova', b'az1', 1).replace(b'nova', b'az2')
            self.assertEqual(wanted, self.listed(path, service, key, items))

    def test_server_that_is_passed_on_is_recorded_completely(self):
        """Of the servers in a list that the gateway does not know, it needs more than it needs for the list."""
        self.cloud.lab.add_servers('Pod1', 'demo')
        self.cloud.lab.add_servers('Pod2', 'alt')
        servers = self.nova.get('/servers/detail', as_='admin', query={'all_tenants': 1})['servers']
        self.assertEqual(2, len(servers))
        for server in servers:
            self.wait_for(lambda top_id=server['id']: self.pod_of('server', top_id))
            record = routings.get(self.cloud.runtime.db, 'server', server['id'])
            self.assertEqual(server['tenant_id'], record.project_id)
