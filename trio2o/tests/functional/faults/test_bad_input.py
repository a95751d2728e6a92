# SPDX-License-Identifier: Apache-2.0
"""Send malformed input to each row of both gateways: never a 500, and the answer of the pod where it decides."""

import itertools
import json
import logging
import zlib

import fixtures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trio2o import cinder_apigw, nova_apigw
from trio2o.gateway.handlers.create import Create
from trio2o.gateway.handlers.forward import Forward, ForwardToAny
from trio2o.lab.emulated.cinder import records
from trio2o.tests.functional.operations.base import VERSIONS, ConversationTest, version_of

SERVICES = {'nova': nova_apigw.SERVICE, 'cinder': cinder_apigw.SERVICE}
MISSING = '4f2e8d4c-6f1f-4e83-9a5e-3a8a4a6a0000'

#: Rows that send the request unchanged to a pod; in other rows, the gateway reads the request first.
PODS_JUDGE = (ForwardToAny, Create, Forward)

DEEP = b'[' * 3000 + b']' * 3000
#: Values in JSON.
VALUES = (
    b'null', b'[]', b'{}', b'7', b'-1', b'true', b'""', b'"x"', b'[null]', b'[7]', b'[[]]', b'[{}]', b'{"x":null}',
    b'{"id":[]}', b'NaN', b'1e400', b'9' * 500, b'9' * 5000, rb'"\ud800"', rb'"\u0000"', b'"' + b'x' * 300 + b'"',
    b'"\xf0\x9f\x98\x80"', b'{"":""}', DEEP, f'"{MISSING}"'.encode(), f'["{MISSING}"]'.encode(),
)  # fmt: skip
BODIES = (
    b'{', b'{"a":1', b'\xff\xfe{}', b'\xef\xbb\xbf{}', b'{"a":1}{"b":2}', b'\x00', b'{"\xff":1}', b"{'a': 1}", b' ',
    b'{"a":1,"a":2}', DEEP[:3000], b'<xml/>', b'{"a": {"b": "\xff"}}',
)  # fmt: skip
KEYS = {
    'nova': ('server', 'metadata', 'meta', 'volumeAttachment', 'interfaceAttachment', 'remote_console', 'tags',
             'events', 'flavor', 'keypair', 'extra_specs', 'share', 'volume'),
    'cinder': ('volume', 'snapshot', 'metadata', 'meta', 'volume_type', 'extra_specs', 'encryption'),
}  # fmt: skip
FIELDS = {
    ('nova', 'servers.create'): (
        b'{"server":{"name":"n","flavorRef":"1","networks":"none",%s}}', 'imageRef',
        ('availability_zone', 'flavorRef', 'imageRef', 'name', 'block_device_mapping', 'block_device_mapping_v2',
         'min_count', 'max_count', 'networks', 'key_name', 'metadata', 'tags', 'return_reservation_id'),
    ),
    ('cinder', 'volumes.create'): (
        b'{"volume":{"size":1,%s}}', 'name',
        ('availability_zone', 'size', 'name', 'volume_type', 'snapshot_id', 'source_volid', 'imageRef', 'metadata'),
    ),
    ('cinder', 'snapshots.create'): (b'{"snapshot":{%s}}', 'name', ('volume_id', 'name', 'force', 'metadata')),
    ('nova', 'volume_attachments.create'): (
        b'{"volumeAttachment":{%s}}', 'device', ('volumeId', 'device', 'tag', 'delete_on_termination')
    ),
    ('nova', 'server_external_events.create'): (
        b'{"events":[{"name":"network-changed",%s}]}', 'tag', ('server_uuid', 'name', 'tag', 'status')
    ),
    ('nova', 'servers.action.unshelve'): (b'{"unshelve":{%s}}', 'host', ('availability_zone', 'host')),
    ('nova', 'servers.update'): (b'{"server":{%s}}', 'name', ('name', 'pinned_availability_zone', 'description')),
    ('cinder', 'volumes.action.revert'): (b'{"revert":{%s}}', 'snapshot_id', ('snapshot_id',)),
    ('cinder', 'volumes.action.os-attach'): (b'{"os-attach":{%s}}', 'mountpoint', ('instance_uuid', 'mode')),
}  # fmt: skip
QUERIES = (
    'limit=x', 'limit=-1', 'limit=' + '9' * 5000, 'limit=%00', 'limit=1&limit=2', 'offset=-1', 'offset=x',
    'offset=' + '9' * 4400, 'marker=', 'marker=%00', 'marker=%FF', 'marker=' + 'x' * 5000, f'marker={MISSING}',
    'marker=%F0%9F%98%80', 'sort_key=', 'sort_key=%00', 'sort_dir=sideways', 'sort_key=a&sort_dir=asc&sort_dir=desc',
    'sort=:::', 'sort=a:b,c:d', 'sort=%FF', 'all_tenants=perhaps', 'all_tenants=%FF', 'status=%00', 'name=%5B',
    'name=(', 'changes-since=yesterday', 'availability_zone=%00', 'availability_zone=', 'with_count=maybe', '=', '&&&',
    '%', '%zz=%zz', 'a' * 5000, ';', 'metadata={', "metadata={'a':", 'created_at=gt', 'created_at=gt:x', '\xff=\xff',
)  # fmt: skip
ODD_IDS = (
    '%00', '%2F', '%2e%2e', '..', '.', '%FF', '%E2%82', '%25', '%2525', 'x' * 64, 'x' * 65, 'x' * 6000, '%F0%9F%98%80',
    '%3F', '%23', '%0D%0A', '%20', '+', f'{MISSING}.json', 'detail', MISSING.upper(), MISSING.replace('-', ''),
    '{id}', '%7Bid%7D', "'", '%27%20OR%201=1', 'a;b', '*', '-', '0', '-1', 'None', 'null',
)  # fmt: skip


def share(items, name, parts=5):
    """A part of the items that depends on the row: all items and all rows are used in a reasonable time."""
    return items[zlib.crc32(name.encode()) % parts :: parts]


def of(name, operation):
    return {'row': operation, 'version': version_of(name, operation)}


class BadInputTest(ConversationTest):
    """Compare each answer with the answer of a pod to the same request."""

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG, nuke_handlers=True))
        self.clients = {'nova': self.cloud.nova, 'cinder': self.cloud.cinder}
        self.direct = {name: self.cloud.direct('Pod2', name) for name in SERVICES}
        self.cloud.token()

    def resource(self, service, path):
        """The id of a resource in Pod2, for the first id in a path."""
        if path.startswith('/servers/'):
            return self.cloud.lab.add_servers('Pod2', 'demo')[0]['id']
        if path.startswith('/volumes/'):
            return self.cloud.lab.add_volumes('Pod2', 'demo')[0]['id']
        if path.startswith('/snapshots/'):
            cinder = self.cloud.pod('Pod2').cinder
            return records.new_snapshot(cinder, self.cloud.lab.add_volumes('Pod2', 'demo')[0])['id']
        return MISSING

    def path_of(self, service, operation):
        path = operation.path
        if '{' in path:
            head, _brace, rest = path.partition('{')
            rest = rest.partition('}')[2].replace('{', '').replace('}', '')
            path = f'{head}{self.resource(service, path)}{rest}'
        return path

    def check(self, name, method, path, **kwargs):
        """Send a request to the gateway and to the pod. :returns: description and both answers, or None"""
        try:
            wanted = self.direct[name].request(method, path, **kwargs)
        except Exception:
            return None  # the emulated pod does not handle this
        if 'There is no such action' in wanted.text or '"title":"Not Found"' in wanted.text:
            return None  # the emulated pod does not have this row
        answer = self.clients[name].request(method, path, **kwargs)
        what = (name, method, path[:200], {key: str(value)[:200] for key, value in kwargs.items() if value})
        self.assertLess(answer.status, 500, (what, answer.status, answer.text[:500], wanted.status, wanted.text[:300]))
        self.assertNotIn(b'Traceback', answer.body)
        return what, wanted, answer

    def check_status(self, name, method, path, row=None, **kwargs):
        found = self.check(name, method, path, **kwargs)
        if found is not None and (row is None or isinstance(row.handler, PODS_JUDGE)):
            what, wanted, answer = found
            is_ours = answer.status == 400 and b'Malformed request body' in answer.body
            if wanted.status >= 400 and MISSING not in path and not is_ours:
                self.assertEqual(wanted.status, answer.status, (what, wanted.text[:300], answer.text[:300]))
        return found

    def check_refused(self, name, method, path, row=None, **kwargs):
        """Like check_status; as the resource does not exist, a pod may refuse the request for another reason first."""
        found = self.check(name, method, path, **kwargs)
        if found is not None and found[1].status >= 400 and isinstance(row.handler, PODS_JUDGE):
            what, wanted, answer = found
            self.assertIn(answer.status, (wanted.status, 404), (what, wanted.text[:300], answer.text[:300]))

    def tearDown(self):
        for token in self.cloud._tokens.values():
            self.assertNotIn(token, self.log.output)
        # keystonemiddleware logs a bad token with a traceback of its own, at debug level.
        self.assertNotIn('Unexpected error', self.log.output)
        super().tearDown()


class TestBodies(BadInputTest):
    def bodies(self, name, operation):
        """All bodies for handlers that read the body; a few for those that forward it unread."""
        handler = operation.handler
        is_read = (
            not isinstance(handler, Forward)
            or handler.other
            or handler.zone_path
            or type(handler).same_pod_refs is not Forward.same_pod_refs
        )
        yield from BODIES if is_read else BODIES[:3]
        yield from VALUES if is_read else VALUES[:3]
        for key in (operation.action,) if operation.action else KEYS[name]:
            for value in share(VALUES, operation.name + key) if is_read else VALUES[:2]:
                yield b'{"%s":%s}' % (key.encode(), value)

    def test_odd_body_causes_no_500_for_each_row(self):
        for name, service in SERVICES.items():
            for operation in service.operations:
                if operation.method not in ('POST', 'PUT'):
                    continue
                for body in self.bodies(name, operation):
                    path = self.path_of(name, operation)
                    self.check_status(name, operation.method, path, body=body, **of(name, operation))
            self.cloud.lab.clear_logs()

    def test_odd_value_of_field_causes_no_500(self):
        for (name, row), (template, other, keys) in FIELDS.items():
            operation = next(operation for operation in SERVICES[name].operations if operation.name == row)
            for key, value in itertools.product(keys, VALUES):
                filler = b'' if key == other else b',"%s":"x"' % other.encode()
                body = template % (b'"%s":%s%s' % (key.encode(), value, filler))
                path = self.path_of(name, operation)
                if key == 'availability_zone' and row.endswith('.create') and value.startswith(b'"'):
                    answer = self.clients[name].request('POST', path, body=body, version=VERSIONS[name])
                    self.assertLess(answer.status, 500, (name, value, answer.text))
                    continue
                self.check_status(name, operation.method, path, body=body, **of(name, operation))

    def test_odd_scheduler_hint_causes_no_500(self):
        for outer, hint in itertools.product(
            ('os:scheduler_hints', 'OS-SCH-HNT:scheduler_hints'),
            ('same_host', 'different_host', 'group', 'local_to_instance'),
        ):
            for value in VALUES:
                inner = b'{"%s":%s}' % (hint.encode(), value)
                body = b'{"server":{"name":"n","flavorRef":"1","imageRef":"x","networks":"none"},"%s":%s}'
                answer = self.nova.post('/servers', body=body % (outer.encode(), inner), version='2.96')
                self.assertLess(answer.status, 500, (inner[:100], answer.text))
                answer = self.nova.post('/servers', body=body % (outer.encode(), value), version='2.96')
                self.assertLess(answer.status, 500, (value[:100], answer.text))
                body = b'{"volume":{"size":1,"volume_type":"x"},"%s":%s}'
                answer = self.cinder.post('/volumes', body=body % (outer.encode(), inner), version='3.70')
                self.assertLess(answer.status, 500, (inner[:100], answer.text))

    def test_odd_content_type_causes_no_500(self):
        for name, service in SERVICES.items():
            for operation in service.operations:
                if operation.method not in ('POST', 'PUT'):
                    continue
                for kind in ('', 'text/xml', 'application/x-www-form-urlencoded', 'application/json; charset=utf-16',
                             'nonsense', 'multipart/form-data'):  # fmt: skip
                    body = json.dumps({operation.action or KEYS[name][0]: {}}).encode()
                    self.check_status(
                        name, operation.method, self.path_of(name, operation), body=body,
                        **of(name, operation), headers={'Content-Type': kind},
                    )  # fmt: skip

    def test_body_over_limit_is_413_and_not_sent_to_pods(self):
        body = b'{"server":"' + b'x' * 120000 + b'"}'
        self.cloud.lab.clear_logs()
        for name, path in (('nova', '/servers'), ('cinder', '/volumes'), ('nova', f'/servers/{MISSING}/action')):
            answer = self.clients[name].post(path, body=body)
            self.assertEqual(413, answer.status)
            self.assertEqual([], self.seen('Pod1') + self.seen('Pod2') + self.seen('Pod1', 'cinder'))

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_random_body_causes_no_500(self, data):
        name = data.draw(st.sampled_from(list(SERVICES)))
        operation = data.draw(
            st.sampled_from([row for row in SERVICES[name].operations if row.method in ('POST', 'PUT')])
        )
        keys = st.sampled_from([operation.action or '', *KEYS[name], 'id', 'os:scheduler_hints', 'availability_zone'])
        documents = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
            max_leaves=12,
        )
        body = json.dumps(data.draw(st.dictionaries(keys, documents, max_size=3))).encode()
        self.check(name, operation.method, self.path_of(name, operation), body=body,
                   version=version_of(name, operation))  # fmt: skip


class TestQueries(BadInputTest):
    def test_odd_query_causes_no_500_for_each_read(self):
        for name, service in SERVICES.items():
            for operation in service.operations:
                if operation.method != 'GET':
                    continue
                path = self.path_of(name, operation)
                for query in share(QUERIES, operation.name):
                    for who in ('demo', 'admin'):
                        self.check(name, 'GET', f'{path}?{query}', as_=who, version=VERSIONS[name])


class TestPaths(BadInputTest):
    def test_odd_id_causes_no_500_for_each_row(self):
        for name, service in SERVICES.items():
            for operation in service.operations:
                if '{' not in operation.path:
                    continue
                for odd in share(ODD_IDS, operation.name):
                    if odd == 'detail' and operation.method != 'GET':
                        continue  # a path of its own
                    head, _brace, rest = operation.path.partition('{')
                    path = head + odd + rest.partition('}')[2].replace('{', '').replace('}', '')
                    body = json.dumps({operation.action: {}}).encode() if operation.action else None
                    self.check_refused(name, operation.method, path, body=body, **of(name, operation))

    def test_odd_second_id_causes_no_500_for_each_row(self):
        for name, service in SERVICES.items():
            for operation in service.operations:
                if operation.path.count('{') != 2 or not operation.path.startswith(('/servers', '/volumes')):
                    continue
                for odd in share(ODD_IDS, operation.name):
                    head, _brace, rest = operation.path.partition('{')
                    path = head + self.resource(name, operation.path) + rest.partition('}')[2]
                    head, _brace, rest = path.partition('{')
                    path = head + odd + rest.partition('}')[2]
                    self.check_refused(name, operation.method, path, body=b'{}', **of(name, operation))

    def test_unknown_path_gets_status_of_pod(self):
        project = self.cloud.project_id('demo')
        for name in SERVICES:
            for path in ('', '/', '//', '/nothing', '/servers/', '/volumes/', '/servers//', f'/{project}', '/%FF',
                         f'/{project}/', f'/{project}//servers', '/abc/servers', '/servers/detail/', '/%00', '/../x',
                         '/volumes.json', '/servers.json', '/.json', f'/{project}.json',
                         '/abc%0A/servers'):  # fmt: skip
                for method in ('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'NONSENSE'):
                    if path in ('', '/'):
                        continue
                    self.check_status(name, method, path)


class TestVersionsAndTokens(BadInputTest):
    def test_odd_version_gets_status_and_headers_of_pod(self):
        for name, path in (('nova', '/servers'), ('cinder', '/volumes')):
            for value in ('compute', 'compute 2', 'compute 2.x', 'compute 2.1.1', 'compute 2.999', 'compute 3.1',
                          'volume', 'volume 3', 'volume 3.999', 'volume 2.0', 'compute latest', 'volume latest',
                          '', ',', 'compute 2.79, volume 3.60', 'volume 3.60, compute 2.79', 'block-storage 3.60',
                          'volumev3 3.60', 'COMPUTE 2.1', 'compute  2.1', 'x' * 3000, 'compute 2.1,',
                          'compute -2.1'):  # fmt: skip
                found = self.check_status(name, 'GET', path, headers={'OpenStack-API-Version': value})
                _what, wanted, answer = found
                if name == 'nova':
                    self.assertEqual(
                        wanted.headers.get('X-OpenStack-Nova-API-Version'),
                        answer.headers.get('X-OpenStack-Nova-API-Version'), value,
                    )  # fmt: skip
                self.assertEqual(
                    wanted.headers.get('OpenStack-API-Version'), answer.headers.get('OpenStack-API-Version'), value
                )

    def test_invalid_token_is_401_and_not_logged(self):
        expired = self.cloud.lab.token('demo', expires_in=-10)
        self.cloud.lab.clear_logs()
        for name, path in (('nova', '/servers'), ('cinder', '/volumes'), ('nova', '/flavors')):
            for token in (None, '', 'x', 'x' * 8000, '\xff\xfe', ' ', expired, expired[:-2]):
                headers = {} if token is None else {'X-Auth-Token': token}
                answer = self.clients[name].get(path, as_=None, headers=headers)
                self.assertEqual(401, answer.status, (token, answer.text))
                self.assertIn('Keystone uri=', answer.headers['WWW-Authenticate'])
                self.assertTrue(token is None or len(token) < 10 or token not in self.log.output)
        self.assertEqual([], self.seen('Pod1') + self.seen('Pod2'))
