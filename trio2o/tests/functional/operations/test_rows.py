# SPDX-License-Identifier: Apache-2.0
"""Each row about one resource: success, unknown id, other project, unreachable pod.

The tests are made from the rows. The answer of the gateway must equal that of the pod to the same request, for the
same resource or a similar one, except for the links and the name of the zone.
"""

import json

from trio2o import cinder_apigw, nova_apigw
from trio2o.gateway.handlers.forward import Forward
from trio2o.lab.emulated.cinder import backups, groups, messages, records, transfers
from trio2o.lab.emulated.faults import DropAfter, Hang, Refuse, Status
from trio2o.resources import ATTACHMENT, BACKUP, GROUP, MESSAGE, SERVER, SNAPSHOT, TRANSFER, VOLUME
from trio2o.tests.functional.operations.base import VERSIONS, ConversationTest, version_of

SERVICES = {'nova': nova_apigw.SERVICE, 'cinder': cinder_apigw.SERVICE}
MISSING = '4f2e8d4c-6f1f-4e83-9a5e-3a8a4a6a0000'
#: Kinds of resources that the lab can create directly in a pod.
KINDS = (SERVER, VOLUME, SNAPSHOT, BACKUP, ATTACHMENT, TRANSFER, GROUP, MESSAGE)
HOP_HEADERS = {'content-length', 'date', 'x-openstack-request-id', 'x-compute-request-id'}

BODIES = {
    'servers.update': {'server': {'name': 'new'}},
    'servers.action.rebuild': {'rebuild': {'imageRef': '1c5d87fb-e1a7-93da-25c4-12fa0ca9e685'}},
    'servers.action.resize': {'resize': {'flavorRef': '2'}},
    'servers.action.reboot': {'reboot': {'type': 'SOFT'}},
    'servers.action.createImage': {'createImage': {'name': 'image'}},
    'servers.action.createBackup': {'createBackup': {'name': 'b', 'backup_type': 'daily', 'rotation': 1}},
    'servers.action.changePassword': {'changePassword': {'adminPass': 'secret'}},
    'servers.action.addSecurityGroup': {'addSecurityGroup': {'name': 'group'}},
    'servers.action.removeSecurityGroup': {'removeSecurityGroup': {'name': 'default'}},
    'servers.action.os-getConsoleOutput': {'os-getConsoleOutput': {}},
    'servers.action.os-resetState': {'os-resetState': {'state': 'error'}},
    'servers.action.os-getVNCConsole': {'os-getVNCConsole': {'type': 'novnc'}},
    'servers.action.evacuate': {'evacuate': {}},
    'servers.action.migrate': {'migrate': None},
    'servers.action.os-migrateLive': {'os-migrateLive': {'block_migration': 'auto', 'host': None}},
    'servers.action.rescue': {'rescue': {}},
    'server_metadata.create': {'metadata': {'a': 'b'}},
    'server_metadata.replace': {'metadata': {'a': 'b'}},
    'server_metadata.update': {'meta': {'key': 'b'}},
    'server_interfaces.create': {'interfaceAttachment': {}},
    'server_tags.replace': {'tags': ['a']},
    'remote_consoles.create': {'remote_console': {'protocol': 'vnc', 'type': 'novnc'}},
    'volumes.update': {'volume': {'name': 'new'}},
    'volumes.action.os-extend': {'os-extend': {'new_size': 3}},
    'volumes.action.os-reset_status': {'os-reset_status': {'status': 'error'}},
    'volumes.action.os-set_bootable': {'os-set_bootable': {'bootable': True}},
    'volumes.action.os-update_readonly_flag': {'os-update_readonly_flag': {'readonly': True}},
    'volumes.action.os-set_image_metadata': {'os-set_image_metadata': {'metadata': {'a': 'b'}}},
    'volumes.action.os-retype': {'os-retype': {'new_type': '__DEFAULT__', 'migration_policy': 'never'}},
    'volumes.action.os-volume_upload_image': {'os-volume_upload_image': {'image_name': 'image'}},
    'volume_metadata.create': {'metadata': {'a': 'b'}},
    'volume_metadata.replace': {'metadata': {'a': 'b'}},
    'volume_metadata.update': {'meta': {'key': 'b'}},
    'snapshots.update': {'snapshot': {'name': 'new'}},
    'snapshots.action.os-reset_status': {'os-reset_status': {'status': 'error'}},
    'snapshots.action.os-update_snapshot_status': {'os-update_snapshot_status': {'status': 'error'}},
    'snapshot_metadata.create': {'metadata': {'a': 'b'}},
    'snapshot_metadata.replace': {'metadata': {'a': 'b'}},
    'snapshot_metadata.update': {'meta': {'key': 'b'}},
    'backups.update': {'backup': {'name': 'new'}},
    'backups.restore': {'restore': {}},
    'backups.action.os-reset_status': {'os-reset_status': {'status': 'error'}},
    'attachments.update': {'attachment': {'connector': {'host': 'elsewhere'}}},
    'groups.update': {'group': {'name': 'new'}},
    'groups.action.delete': {'delete': {'delete-volumes': True}},
    'groups.action.reset_status': {'reset_status': {'status': 'error'}},
}


#: Rows that the emulated pods do not have, so that no test here sees them succeed.
NOT_EMULATED = {
    'groups.action.disable_replication',
    'groups.action.enable_replication',
    'groups.action.failover_replication',
    'groups.action.list_replication_targets',
    'server_migrations.action.force_complete',
    'server_migrations.delete',
    'server_password.clear',
    'server_password.show',
    'server_shares.create',
    'server_shares.delete',
    'server_shares.show',
    'server_topology.show',
    'servers.action.addFixedIp',
    'servers.action.addFloatingIp',
    'servers.action.evacuate',
    'servers.action.injectNetworkInfo',
    'servers.action.os-getSPICEConsole',
    'servers.action.os-getSerialConsole',
    'servers.action.removeFixedIp',
    'servers.action.removeFloatingIp',
    'servers.action.restore',
    'volume_encryption.list',
    'volume_encryption.show',
    'volumes.action.os-extend_volume_completion',
    'volumes.action.os-force_detach',
    'volumes.action.os-migrate_volume',
    'volumes.action.os-migrate_volume_completion',
    'volumes_boot.update',
}


def rows():
    """(service name, row) of all rows that forward to the pod of one resource."""
    for name, service in SERVICES.items():
        for operation in service.operations:
            handler = operation.handler
            if isinstance(handler, Forward) and handler.resource in KINDS:
                if handler.resource.service == service.service_type:
                    yield name, operation


class RowTest(ConversationTest):
    def setUp(self):
        super().setUp()
        self.clients = {'nova': self.nova, 'cinder': self.cinder}
        self.direct = {name: self.cloud.direct('Pod2', name) for name in SERVICES}

    def make(self, kind, project='demo'):
        """Create a resource in Pod2, with metadata and tags. :returns: its id"""
        lab, pod = self.cloud.lab, self.cloud.pod('Pod2')
        metadata = {'key': 'value'}
        if kind == 'server':
            (server,) = lab.add_servers('Pod2', project, metadata=metadata, tags={'key'})
            return server['id']
        (volume,) = lab.add_volumes('Pod2', project, metadata=metadata)
        if kind == 'volume':
            return volume['id']
        if kind == 'backup':
            return backups.add(pod.cinder, volume)['id']
        if kind == 'attachment':
            return records.attach(pod.cinder, volume, 'some-server', None, 'reserved')
        if kind == 'transfer':
            return transfers.add(pod.cinder, volume)['id']
        if kind == 'group':
            return groups.add(pod.cinder, volume['project_id'], volume['user_id'])['id']
        if kind == 'message':
            return messages.add(pod.cinder, volume['project_id'])['id']
        return records.new_snapshot(pod.cinder, volume, metadata=dict(metadata))['id']

    def parts(self, operation, id_):
        """The path and body of a request for a row and the id of its resource."""
        head, _brace, rest = operation.path.partition('{')
        rest = rest.partition('}')[2].replace('{id}', 'key').replace('{', '').replace('}', '')
        body = BODIES.get(operation.name.replace('volumes_boot', 'servers'))
        if body is None and operation.action:
            body = {operation.action: None}
        elif body is None and operation.method in ('POST', 'PUT'):
            body = {}
        return head + id_ + rest, body

    def call(self, client, name, operation, id_, **kwargs):
        path, body = self.parts(operation, id_)
        return client.request(operation.method, path, body, version=version_of(name, operation), **kwargs)

    def is_emulated(self, name, operation):
        """Whether the emulated pod has the row."""
        answer = self.call(self.direct[name], name, operation, self.make(operation.handler.resource.type), as_='admin')
        return 'There is no such action' not in answer.text and '"title":"Not Found"' not in answer.text

    def translated(self, name, text, theirs, ours):
        """The text of a pod with the links, zone and id of the gateway."""
        pod, gateway = {'nova': ('http://pod2.nova.test:8774/', 'http://gateway.test:19998/'),
                        'cinder': ('http://pod2.cinder.test:8776/', 'http://gateway.test:19997/')}[name]  # fmt: skip
        return text.replace(pod, gateway).replace(theirs, ours).replace('availability_zone":"nova"',
                                                                       'availability_zone":"az2"')  # fmt: skip


def names(headers):
    return {name.lower() for name in headers} - HOP_HEADERS


def shape(document):
    """The keys and types of a document, which resources of one kind have in common."""
    if isinstance(document, dict):
        return {key: shape(value) for key, value in document.items()}
    if isinstance(document, list):
        return [shape(value) for value in document]
    return type(document).__name__


class TestSuccess(RowTest):
    def test_rows_that_are_not_emulated_are_listed(self):
        self.assertEqual(NOT_EMULATED, {row.name for name, row in rows() if not self.is_emulated(name, row)})

    def test_reads_equal_answers_of_pod(self):
        count = 0
        for name, operation in rows():
            if operation.method != 'GET' or not self.is_emulated(name, operation):
                continue
            with self.subTest(row=operation.name):
                id_ = self.make(operation.handler.resource.type)
                wanted = self.call(self.direct[name], name, operation, id_)
                # The second request finds the routing.
                for _time in range(2):
                    answer = self.call(self.clients[name], name, operation, id_)
                    self.assertEqual(wanted.status, answer.status)
                    self.assertEqual(self.translated(name, wanted.text, id_, id_), answer.text)
                    self.compare_headers(wanted, answer)
                count += wanted.status == 200
        self.assertGreater(count, 15)

    def test_writes_equal_answers_of_pod(self):
        """Send each write to two resources of a kind, because most succeed only once."""
        count = 0
        for name, operation in rows():
            if operation.method == 'GET' or not self.is_emulated(name, operation):
                continue
            for who in ('demo', 'admin'):
                with self.subTest(row=operation.name, who=who):
                    theirs, ours = (self.make(operation.handler.resource.type, who) for _ in range(2))
                    wanted = self.call(self.direct[name], name, operation, theirs, as_=who)
                    answer = self.call(self.clients[name], name, operation, ours, as_=who)
                    self.assertEqual(wanted.status, answer.status, (operation.name, wanted.text, answer.text))
                    self.compare_headers(wanted, answer)
                    text = self.translated(name, wanted.text, theirs, ours)
                    if wanted.status >= 400 or not text:
                        self.assertEqual(text, answer.text)
                    else:
                        self.assertEqual(shape(json.loads(text)), shape(answer.json))
                    location = wanted.headers.get('Location')
                    if location is not None and 'glance' not in location:
                        self.assertEqual(self.translated(name, location, theirs, ours), answer.headers['Location'])
                    count += wanted.status < 400
        self.assertGreater(count, 60)

    def compare_headers(self, wanted, answer):
        self.assertEqual(names(wanted.headers), names(answer.headers))
        for header in ('Content-Type', 'OpenStack-API-Version', 'Etag'):
            self.assertEqual(wanted.headers.get_all(header), answer.headers.get_all(header))
        self.assertEqual(sorted(wanted.headers.get_all('Vary')), sorted(answer.headers.get_all('Vary')))

    def test_request_id_of_pod_is_returned(self):
        """Users find instance actions by it."""
        id_ = self.make('server')
        answer = self.nova.post(f'/servers/{id_}/action', {'os-stop': None})
        request_id = answer.headers['x-openstack-request-id']
        answer = self.nova.get(f'/servers/{id_}/os-instance-actions/{request_id}', version='2.21')
        self.assertEqual(200, answer.status)

    def test_recorded_server_takes_one_request(self):
        id_ = self.make('server')
        self.nova.get(f'/servers/{id_}')
        self.cloud.lab.clear_logs()
        self.nova.get(f'/servers/{id_}')
        self.assertEqual((0, 1), (len(self.seen('Pod1')), len(self.seen('Pod2'))))
        self.assertEqual(0, len(self.cloud.lab.keystone.requests))

    def test_project_in_path_is_kept_in_links_and_wrong_one_is_refused(self):
        project = self.cloud.project_id('demo')
        for kind, client in (('server', self.nova), ('volume', self.cinder), ('snapshot', self.cinder)):
            id_ = self.make(kind)
            for prefix in ('', f'/{project}'):
                answer = client.get(f'{prefix}/{kind}s/{id_}')
                self.assertEqual(200, answer.status)
                for link in answer[kind].get('links', []):
                    self.assertEqual(bool(prefix), project in link['href'])
            self.assertEqual(400, client.get(f'/{"0" * 32}/{kind}s/{id_}').status)


class TestUnknownId(RowTest):
    def test_unknown_id_is_404_for_each_row(self):
        for name, operation in rows():
            with self.subTest(row=operation.name):
                for id_ in (MISSING, 'no-uuid'):
                    answer = self.call(self.clients[name], name, operation, id_)
                    wanted = self.call(self.direct[name], name, operation, id_)
                    # A pod checks the body of a write before it looks for the resource.
                    self.assertIn(answer.status, (404, 400) if wanted.status == 400 else (404,))
                    if wanted.status == answer.status == 404 and self.is_emulated(name, operation):
                        self.assertEqual(shape(wanted.json), shape(answer.json))
                        self.assertEqual(names(wanted.headers), names(answer.headers))

    def test_malformed_id_causes_no_request_to_pods(self):
        self.nova.get('/servers/name')
        self.cloud.lab.clear_logs()
        self.nova.get('/servers/name')
        self.assertEqual([], self.seen('Pod1') + self.seen('Pod2'))

    def test_resource_deleted_directly_in_pod_is_404_and_its_routing_ends(self):
        for kind, client in (('server', self.nova), ('volume', self.cinder)):
            id_ = self.make(kind)
            self.assertEqual(200, client.get(f'/{kind}s/{id_}').status)
            pod = self.cloud.pod('Pod2')
            (pod.nova.servers if kind == 'server' else pod.cinder.volumes).pop(id_)
            for _ in range(2):
                self.assertEqual(404, client.get(f'/{kind}s/{id_}').status)
            self.assertFalse(self.cloud.runtime.locator.look_up(kind, id_).is_live)


class TestWrongProject(RowTest):
    def test_resource_of_another_project_is_like_unknown_one_for_each_row(self):
        for name, operation in rows():
            if not self.is_emulated(name, operation):
                continue
            with self.subTest(row=operation.name):
                id_ = self.make(operation.handler.resource.type)
                wanted = self.call(self.direct[name], name, operation, id_, as_='alt')
                unknown = self.call(self.clients[name], name, operation, id_, as_='alt')
                # A pod checks a body before it looks for the resource.
                self.assertIn(unknown.status, (400, 404))
                path = self.parts(operation, id_)[0]
                self.clients[name].get('/'.join(path.split('/')[:3]), version=VERSIONS[name])
                known = self.call(self.clients[name], name, operation, id_, as_='alt')
                if operation.method in ('POST', 'PUT', 'PATCH'):
                    self.assertEqual((wanted.status, wanted.json), (known.status, known.json))
                else:
                    self.assertEqual((404, unknown.body), (known.status, known.body))
                self.assertTrue(self.cloud.runtime.locator.look_up(operation.handler.resource.type, id_).is_live)


class TestUnreachablePod(RowTest):
    # The flavors are recorded, so that no pod has to show the one of a resize.
    run_jobs = True

    def known(self, name, operation):
        kind = operation.handler.resource.type
        id_ = self.make(kind)
        path = f'{operation.handler.resource.path}/{id_}'
        self.assertEqual(200, self.clients[name].get(path, version=VERSIONS[name]).status)
        return id_

    def test_refused_connection_is_503_for_each_row(self):
        for name, operation in rows():
            if operation.name in ('servers.show', 'volumes_boot.show'):
                continue  # shown with status UNKNOWN
            with self.subTest(row=operation.name):
                id_ = self.known(name, operation)
                self.break_pod('Pod2', Refuse())
                answer = self.call(self.clients[name], name, operation, id_)
                message = self.assert_own_words(answer, 503)
                self.assertIn('az2', message)
                self.assertIn(id_, message)
                self.assertIn('Retry-After', answer.headers)
                self.heal()

    def test_write_without_answer_is_504_and_not_repeated_for_each_row(self):
        for name, operation in rows():
            if operation.method == 'GET':
                continue
            for fault in (Hang(), DropAfter()):
                with self.subTest(row=operation.name, fault=fault):
                    id_ = self.known(name, operation)
                    self.cloud.lab.clear_logs()
                    self.break_pod('Pod2', fault)
                    answer = self.call(self.clients[name], name, operation, id_)
                    is_read = operation.handler.is_read
                    # Nothing is sent while the pod does not show the server whose volumes are to be counted.
                    is_unsent = operation.name.endswith(('.createBackup', '.createImage'))
                    self.assertIn(id_, self.assert_own_words(answer, 503 if is_read or is_unsent else 504))
                    # A write is never sent twice.
                    seen = self.seen('Pod2', name, operation.method)
                    self.assertLessEqual(len(seen), 2 if is_read else 0 if is_unsent else 1)
                    self.heal()

    def test_read_is_repeated_once_after_cut_connection(self):
        id_ = self.make('server')
        self.nova.get(f'/servers/{id_}')
        self.cloud.pod('Pod2').nova.faults.add(DropAfter(times=1))
        self.assertEqual(200, self.nova.get(f'/servers/{id_}').status)

    def test_error_of_pod_is_returned_unchanged(self):
        for status in (500, 501, 409, 429, 418):
            id_ = self.make('server')
            self.nova.get(f'/servers/{id_}')
            body = b'{"computeFault": {"code": 1, "message": "mine"}}'
            self.break_pod('Pod2', Status(status=status, body=body, headers=(('Content-Type', 'application/json'),)))
            answer = self.nova.get(f'/servers/{id_}')
            self.assertEqual((status, body), (answer.status, answer.body))
            self.heal()

    def heal(self):
        for service in self.cloud.pod('Pod2').each():
            service.faults.clear()
        self.cloud.runtime.client.breakers._states.clear()


class TestRowsWithoutId(RowTest):
    def test_unreachable_pod_causes_no_5xx_for_any_row(self):
        """Lists, sums and replicated objects: all rows without an id.

        Lists are a 503 while a pod may only be slow.
        """
        self.skip_down_pods()
        for down in ('Pod1', 'Pod2'):
            for name, service in SERVICES.items():
                for operation in service.operations:
                    if operation.method != 'GET' or '{' in operation.path:
                        continue
                    for fault in (Refuse(), Hang(), Status(status=500), Status(status=503)):
                        with self.subTest(row=operation.name, fault=fault, down=down):
                            self.break_pod(down, fault)
                            self.cloud.runtime.client.breakers._states.clear()
                            answer = self.clients[name].get(operation.path, as_='admin', version=VERSIONS[name])
                            if isinstance(fault, Hang) and answer.status == 503:
                                self.assertIn('would be incomplete', answer.text)
                            else:
                                self.assertLess(answer.status, 500, (operation.name, fault, down, answer.text))
                            for service_ in self.cloud.pod(down).each():
                                service_.faults.clear()
