# SPDX-License-Identifier: Apache-2.0
"""What lists have of a resource that moves, and of its parts, while pods answer and while they do not."""

import threading

from trio2o.db import moves, routings
from trio2o.lab.emulated.faults import Refuse
from trio2o.tests.functional.moves.base import TenantCase

ALL = {'as_': 'admin', 'query': {'all_tenants': '1'}}
PERIOD = {'start': '2000-01-01T00:00:00', 'end': '2100-01-01T00:00:00'}


class TestSwitchMeanwhile(TenantCase):
    """A list that began before a move began or switched, and that pods answer after it."""

    def setUp(self):
        super().setUp()
        self.volume_id = self.volume(name='data')
        self.servers = {self.server(volumes=[self.volume_id]), self.server(zone='az2')}
        self.moving = min(self.servers, key=lambda each: self.place('server', each))
        self.move_id = self.start('server', self.moving)
        self.run_move(self.move_id, after='compare')

    def listed_while(self, change, client, path, **options):
        """Return ids in a list. :param change: called before a pod answers it"""
        send, changes = self.cloud.transport.request, [change]
        is_changed, own = threading.Event(), threading.local()

        def request(method, url, *args, **kwargs):
            if path in url and changes:
                own.is_changing = True
                changes.pop()()
                own.is_changing = False
                is_changed.set()
            elif path in url and not getattr(own, 'is_changing', False):
                # The list of another pod.
                is_changed.wait()
            return send(method, url, *args, **kwargs)

        self.cloud.transport.request = request
        try:
            (items,) = (value for value in client.get(path, **options).json.values() if isinstance(value, list))
        finally:
            self.cloud.transport.request = send
        self.assertEqual([], changes)
        return sorted(each['id'] for each in items)

    def test_copy_made_meanwhile_is_not_listed(self):
        volume = self.volume()
        server = self.server(volumes=[volume])
        servers, volumes = sorted((*self.servers, server)), sorted((self.volume_id, volume))
        lists = ((self.cloud.nova, '/servers/detail', servers), (self.cloud.cinder, '/volumes/detail', volumes))
        for until, go_back in (('built', moves.cancel), ('switched', moves.revert)):
            for client, path, wanted in lists:
                move_ids = []

                def move(move_ids=move_ids, until=until):
                    move_ids.append(self.start('server', server))
                    self.run_move(move_ids[0], until=until)

                self.assertEqual(wanted, self.listed_while(move, client, path), (until, path))
                go_back(self.db, move_ids[0])
                self.run_move(move_ids[0])

    def test_server_and_volume_are_listed_once(self):
        def switch():
            self.run_move(self.move_id, until='switched')

        def go_back():
            moves.revert(self.db, self.move_id)
            self.run_move(self.move_id, until='built')
            # It switches once more.
            moves.update(self.db, self.move_id, is_forward=True)

        lists = (
            (self.cloud.nova, '/servers/detail', sorted(self.servers)),
            (self.cloud.cinder, '/volumes/detail', [self.volume_id]),
        )
        for client, path, wanted in lists:
            for options in ({}, ALL, {'query': {'limit': '10'}}):
                for change in (switch, go_back):
                    found = self.listed_while(change, client, path, **options)
                    self.assertEqual(wanted, found, (path, options, change.__name__))
                    self.assertEqual(2, len(self.cloud.nova.get('/servers')['servers']))


class TestParts(TenantCase):
    def test_attachment_is_listed_once_at_each_step(self):
        volume = self.volume()
        server = self.server(volumes=[volume])

        def look(step):
            for options in ({}, ALL):
                for path in ('/attachments', '/attachments/detail'):
                    found = self.cloud.cinder.get(path, version='3.70', **options)['attachments']
                    seen = [(each['volume_id'], each['instance']) for each in found]
                    self.assertEqual([(volume, server)], seen, (step, path, options))

        self.each_step(self.start('server', server), look)

    def test_attachment_of_copy_is_not_found(self):
        server = self.server(volumes=[self.volume()])
        move_id = self.start('server', server)
        self.run_move(move_id, after='server')
        copy = self.ledger(move_id)[f'target/server/{server}'].bottom_id
        attachments = self.cloud.pod('Pod2').cinder.attachments.values()
        (attachment,) = [each['id'] for each in attachments if each['instance'] == copy]
        for who in ('demo', 'admin', 'alt'):
            answer = self.cloud.cinder.get(f'/attachments/{attachment}', as_=who, version='3.70')
            self.assertEqual(404, answer.status, who)
        self.assertIsNone(routings.get(self.db, 'attachment', attachment))

    def test_volume_is_listed_once_by_nova_at_each_step(self):
        volume = self.volume(name='data')
        server = self.server(volumes=[volume])

        def look(step):
            for path in ('/os-volumes', '/os-volumes/detail'):
                found = [each['id'] for each in self.cloud.nova.get(path, version='2.35')['volumes']]
                self.assertEqual([volume], found, (step, path))

        self.each_step(self.start('server', server), look)

    def test_pages_have_each_server_once_at_each_step(self):
        servers = [self.server(name='web') for _ in range(3)] + [self.server(zone='az2', name='web')]

        def look(step):
            for options in ({}, {**ALL}):
                found, query = [], {**options.get('query', {}), 'limit': '1'}
                while len(found) <= len(servers):
                    page = self.cloud.nova.get('/servers', as_=options.get('as_', 'demo'), query=query)['servers']
                    if not page:
                        break
                    found += [each['id'] for each in page]
                    query['marker'] = found[-1]
                self.assertEqual(sorted(servers), sorted(found), (step, options))

        self.each_step(self.start('server', servers[1]), look)

    def test_pages_of_usage_end_though_server_has_used_two_pods(self):
        server = self.server()
        self.server()
        self.run_move(self.start('server', server), until='switched')
        path = f'/os-simple-tenant-usage/{self.cloud.project_id()}'
        found, query = [], {**PERIOD, 'limit': '1'}
        while len(found) < 9:
            usage = self.cloud.nova.get(path, version='2.40', query=query)['tenant_usage']
            if not usage:
                break
            found += [each['instance_id'] for each in usage['server_usages']]
            query['marker'] = found[-1]
        self.assertEqual((3, 2), (len(found), found.count(server)))


class TestDeadPods(TenantCase):
    """Neither pod answers for the other one."""

    def setUp(self):
        super().setUp()
        self.volume_id = self.volume()
        self.server_id = self.server(volumes=[self.volume_id])
        self.age(self.server_id)
        self.before = self.show(self.server_id)
        self.move_id = self.start('server', self.server_id)

    def die(self, name):
        for service in self.cloud.pod(name).each():
            service.faults.add(Refuse())

    def assert_unknown(self):
        """Assert that the server is shown and listed once, as one whose pod does not answer."""
        self.assertEqual('UNKNOWN', self.show(self.server_id)['status'])
        self.assertEqual(503, self.cloud.nova.get(f'/servers/{self.server_id}', version='2.68').status)
        for path in ('/servers', '/servers/detail'):
            (found,) = self.cloud.nova.get(path, version='2.94')['servers']
            self.assertEqual((self.server_id, 'UNKNOWN'), (found['id'], found['status']), path)
        self.assertEqual(503, self.cloud.nova.get('/servers', version='2.68').status)
        self.assertEqual(503, self.cloud.cinder.get(f'/volumes/{self.volume_id}').status)

    def assert_shown(self):
        self.assertEqual(200, self.cloud.nova.get(f'/servers/{self.server_id}').status)
        self.assertEqual(200, self.cloud.cinder.get(f'/volumes/{self.volume_id}').status)
        for options in ({}, ALL):
            (found,) = self.cloud.nova.get('/servers/detail', version='2.94', **options)['servers']
            self.assertEqual((self.server_id, self.before['status']), (found['id'], found['status']))

    def test_source_is_dead_before_the_switch(self):
        self.run_move(self.move_id, after='server')
        self.die('Pod1')
        self.assert_unknown()

    def test_target_is_dead_before_the_switch(self):
        self.run_move(self.move_id, after='server')
        self.die('Pod2')
        self.assertEqual(200, self.cloud.nova.get(f'/servers/{self.server_id}').status)
        (found,) = self.cloud.nova.get('/servers', version='2.94')['servers']
        self.assertEqual(self.server_id, found['id'])
        answer = self.cloud.nova.put(f'/servers/{self.server_id}', {'server': {'name': 'x'}})
        self.assertEqual(409, answer.status, answer.text)

    def test_source_is_dead_after_the_switch(self):
        self.run_move(self.move_id, until='switched')
        self.die('Pod1')
        self.assert_shown()

    def test_target_is_dead_after_the_switch(self):
        self.run_move(self.move_id, until='switched')
        self.die('Pod2')
        self.assert_unknown()

    def test_server_of_dead_target_has_its_time_of_creation(self):
        self.run_move(self.move_id, until='switched')
        self.die('Pod2')
        self.assertEqual(self.before['created'], self.show(self.server_id)['created'])
        (listed,) = self.cloud.nova.get('/servers/detail', version='2.94')['servers']
        self.assertEqual(self.before['created'], listed['created'])

    def test_actions_need_the_pod_of_the_server_alone(self):
        self.run_move(self.move_id, until='switched')
        path = f'/servers/{self.server_id}/os-instance-actions'
        self.die('Pod1')
        listed = self.cloud.nova.get(path, version='2.66')
        self.assertIn('create', [each['action'] for each in listed['instanceActions']])
        self.die('Pod2')
        self.assertEqual(503, self.cloud.nova.get(path, version='2.66').status)


class TestNames(TenantCase):
    def test_volume_of_another_project_with_the_name_of_a_copy_is_shown(self):
        self.start('volume', self.volume(name='data'))
        (theirs,) = self.cloud.lab.add_volumes('Pod2', 'alt', 1, size=1)
        (mine,) = self.cloud.lab.add_volumes('Pod2', 'demo', 1, size=1)
        for volume in (theirs, mine):
            volume['name'] = 'data'
        self.cloud.runtime.registry.refresh()
        for volume, who, status in ((theirs, 'alt', 200), (mine, 'demo', 404)):
            self.assertEqual(status, self.cloud.cinder.get(f'/volumes/{volume["id"]}', as_=who).status)
            listed = self.cloud.cinder.get('/volumes', as_=who)['volumes']
            self.assertEqual(status == 200, volume['id'] in [each['id'] for each in listed])
