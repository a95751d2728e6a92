# SPDX-License-Identifier: Apache-2.0
"""What tenants see while a resource moves: exactly one of it, no writes to it, and the fields that it had."""

from trio2o.db import moves, routings
from trio2o.resources import SERVER, VOLUME
from trio2o.routing.inventory import Inventory
from trio2o.tests.functional.moves.base import MovesCase, TenantCase

KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJjS2gW8v7bBRrYKqHk0n7ZvZkR5p6m0h1cQm3r9dGdS'


class TestOne(TenantCase):
    def test_lists_and_shows_have_one_server_and_volume_at_each_step(self):
        volume = self.volume(name='data')
        server = self.server(volumes=[volume])
        other = self.server(zone='az2', name='web')

        def look(step):
            for options in ({}, {'as_': 'admin', 'query': {'all_tenants': '1'}}, {'query': {'limit': '2'}}):
                for path in ('/servers', '/servers/detail'):
                    found = self.cloud.nova.get(path, **options)['servers']
                    self.assertEqual({server, other}, {each['id'] for each in found}, (step, path, options))
                    self.assertEqual(2, len(found), (step, path, options))
            options = {'as_': 'admin', 'query': {'all_tenants': '1'}}
            listed = self.cloud.cinder.get('/volumes/detail', **options)['volumes']
            project = self.cloud.project_id()
            mine = [each['id'] for each in listed if each['os-vol-tenant-attr:tenant_id'] == project]
            self.assertEqual([volume], mine, step)
            self.assertEqual([volume], [each['id'] for each in self.cloud.cinder.get('/volumes')['volumes']], step)
            self.assertEqual(server, self.show(server)['id'], step)
            self.assertEqual(volume, self.show_volume(volume)['id'], step)

        self.each_step(self.start('server', server), look)

    def test_copy_in_target_is_not_found_by_its_id(self):
        server = self.server()
        move_id = self.start('server', server)
        self.run_move(move_id, after='server')
        copy = self.ledger(move_id)[f'target/server/{server}'].bottom_id
        for who in ('demo', 'admin', 'alt'):
            self.assertEqual(404, self.cloud.nova.get(f'/servers/{copy}', as_=who).status, who)
        self.assertIsNone(routings.get(self.db, 'server', copy))

    def test_comparison_with_pods_records_no_copy(self):
        volume = self.volume()
        server = self.server(volumes=[volume])

        def look(step):
            for pod in self.cloud.runtime.registry.refresh().pods:
                for resource in (SERVER, VOLUME):
                    inventory = Inventory(self.cloud.runtime, pod, resource, self.cloud.project_id())
                    for page in inventory.pages():
                        found = inventory.compare(page)
                        self.assertEqual(([], [], []), (found.new, found.misplaced, found.returned), (step, pod.name))

        self.each_step(self.start('server', server), look)

    def test_quota_counts_server_once_at_each_step(self):
        server = self.server()
        before = self.limits()

        def look(step):
            self.assertEqual(before, self.limits(), step)

        self.each_step(self.start('server', server), look)

    def limits(self):
        found = self.cloud.nova.get('/limits')['limits']['absolute']
        return {name: value for name, value in found.items() if name.startswith('total')}


class TestLocked(TenantCase):
    def setUp(self):
        super().setUp()
        self.volume_id = self.volume()
        self.server_id = self.server(volumes=[self.volume_id])
        self.move_id = self.start('server', self.server_id)

    def test_writes_are_refused_and_name_the_move(self):
        server, volume = f'/servers/{self.server_id}', f'/volumes/{self.volume_id}'
        other = self.server(zone='az1')
        nova = (
            ('PUT', server, {'server': {'name': 'x'}}),
            ('POST', f'{server}/action', {'reboot': {'type': 'SOFT'}}),
            ('POST', f'{server}/action', {'createImage': {'name': 'x'}}),
            ('POST', f'{server}/metadata', {'metadata': {'a': 'b'}}),
            ('DELETE', f'{server}/os-volume_attachments/{self.volume_id}', None),
            ('POST', f'/servers/{other}/os-volume_attachments', {'volumeAttachment': {'volumeId': self.volume_id}}),
        )
        cinder = (
            ('PUT', volume, {'volume': {'name': 'x'}}),
            ('POST', f'{volume}/action', {'os-extend': {'new_size': 5}}),
            ('POST', f'{volume}/metadata', {'metadata': {'a': 'b'}}),
            ('POST', '/snapshots', {'snapshot': {'volume_id': self.volume_id, 'force': True}}),
            ('POST', '/backups', {'backup': {'volume_id': self.volume_id, 'force': True}}),
            ('POST', '/volumes', {'volume': {'size': 1, 'source_volid': self.volume_id}}),
            ('DELETE', volume, None),
        )
        for client, calls in ((self.cloud.nova, nova), (self.cloud.cinder, cinder)):
            for method, path, body in calls:
                for who in ('demo', 'admin'):
                    answer = client.request(method, path, body, as_=(who, 'demo'))
                    self.assertEqual(409, answer.status, (method, path, answer.text))
                    self.assertIn(self.move_id, answer.fault)
        self.assertEqual('planned', moves.get(self.db, self.move_id).status)

    def test_reads_are_allowed(self):
        self.assertEqual(200, self.cloud.nova.get(f'/servers/{self.server_id}/os-volume_attachments').status)
        answer = self.cloud.nova.post(f'/servers/{self.server_id}/action', {'os-getConsoleOutput': {}})
        self.assertEqual(200, answer.status, answer.text)

    def test_other_project_learns_nothing_of_the_move(self):
        answer = self.cloud.nova.put(f'/servers/{self.server_id}', {'server': {'name': 'x'}}, as_='alt')
        self.assertEqual(404, answer.status, answer.text)

    def test_delete_cancels_the_move_and_deletes_both(self):
        self.run_move(self.move_id, after='server')
        answer = self.cloud.nova.delete(f'/servers/{self.server_id}')
        self.assertEqual(204, answer.status, answer.text)
        self.assertEqual('reverted', self.run_move(self.move_id).status)
        self.assertEqual(404, self.cloud.nova.get(f'/servers/{self.server_id}').status)
        self.assertEqual(set(), self.inventory('Pod1')['servers'] | self.inventory('Pod2')['servers'])
        self.assertEqual({self.volume_id}, self.inventory('Pod1')['volumes'])

    def test_reverted_move_locks_until_it_ends(self):
        self.run_move(self.move_id, until='switched')
        moves.revert(self.db, self.move_id)
        self.run_move(self.move_id, after='compare')
        self.assertEqual(409, self.rename().status)
        self.run_move(self.move_id)
        self.assertEqual(200, self.rename().status)

    def test_switched_server_can_be_changed(self):
        self.run_move(self.move_id, until='switched')
        self.assertEqual(200, self.rename().status)

    def rename(self):
        return self.cloud.nova.put(f'/servers/{self.server_id}', {'server': {'name': 'x'}})


class TestFields(TenantCase):
    def gateway(self, **options):
        return MovesCase.gateway(self, **options)

    def test_show_and_list_have_the_fields_from_before(self):
        self.cloud.nova.post('/os-keypairs', {'keypair': {'name': 'k', 'public_key': KEY}}, version='2.10')
        volume = self.volume()
        server = self.server(volumes=[volume], key_name='k')
        before, before_volume = self.show(server), self.show_volume(volume)
        for pod in ('Pod2', 'Pod1'):
            self.move('server', server, pod)
            listed = self.cloud.nova.get('/servers/detail', version='2.94')['servers'][0]
            for name in ('created', 'user_id', 'key_name', 'image', 'OS-SRV-USG:launched_at', 'tenant_id'):
                self.assertEqual(before[name], self.show(server)[name], (pod, name))
                self.assertEqual(before[name], listed[name], (pod, name))
            for name in ('created_at', 'user_id', 'volume_image_metadata'):
                shown = self.show_volume(volume)
                self.assertEqual(before_volume.get(name), shown.get(name), (pod, name))

    def test_lists_are_sorted_by_the_times_of_the_pods(self):
        first, second = self.server(), self.server(zone='az2')
        self.age(first)
        listed = self.cloud.nova.get('/servers/detail')['servers']
        self.assertEqual([second, first], [each['id'] for each in listed])
        self.move('server', first)
        listed = self.cloud.nova.get('/servers/detail')['servers']
        self.assertEqual([first, second], [each['id'] for each in listed])
        self.assertLess(listed[0]['created'], listed[1]['created'])

    def test_answers_to_changes_have_the_fields_from_before(self):
        volume = self.volume()
        server = self.server(volumes=[volume])
        self.age(server)
        before, before_volume = self.show(server), self.show_volume(volume)
        self.move('server', server)
        nova, cinder = self.cloud.nova, self.cloud.cinder
        body = {'rebuild': {'imageRef': before['image']['id']}}
        answers = (
            nova.put(f'/servers/{server}', {'server': {'name': 'web'}}),
            nova.post(f'/servers/{server}/action', body, version='2.94'),
        )
        for answer in answers:
            for name in ('created', 'user_id', 'tenant_id'):
                self.assertEqual(before[name], answer['server'][name], answer.text)
        answer = cinder.put(f'/volumes/{volume}', {'volume': {'name': 'data'}})
        for name in ('created_at', 'user_id'):
            self.assertEqual(before_volume[name], answer['volume'][name], answer.text)

    def test_field_that_its_owner_changes_is_shown_as_it_is(self):
        server = self.server()
        self.move('server', server)
        image = self.cloud.lab.glance.add_image('other')['id']
        answer = self.cloud.nova.post(f'/servers/{server}/action', {'rebuild': {'imageRef': image}})
        self.assertEqual(202, answer.status, answer.text)
        self.assertEqual(image, self.show(server)['image']['id'])


class TestActions(TenantCase):
    def gateway(self, **options):
        return MovesCase.gateway(self, **options)

    def setUp(self):
        super().setUp()
        self.server_id = self.server()
        for name in ('os-stop', 'os-start'):
            self.cloud.nova.post(f'/servers/{self.server_id}/action', {name: None})
        self.path = f'/servers/{self.server_id}/os-instance-actions'
        self.before = self.listed()
        self.move('server', self.server_id)
        self.cloud.nova.post(f'/servers/{self.server_id}/action', {'reboot': {'type': 'SOFT'}})

    def listed(self, **query):
        answer = self.cloud.nova.get(self.path, version='2.66', query=query)
        self.assertEqual(200, answer.status, answer.text)
        return answer['instanceActions']

    def test_actions_from_before_are_listed_after_the_new_ones(self):
        listed = self.listed()
        self.assertEqual('reboot', listed[0]['action'])
        self.assertEqual(self.before, listed[-len(self.before) :])
        self.assertEqual({self.server_id}, {action['instance_uuid'] for action in listed})

    def test_pages_have_each_action_once(self):
        wanted, found, query = [each['request_id'] for each in self.listed()], [], {'limit': '2'}
        while True:
            page = [each['request_id'] for each in self.listed(**query)]
            found += page
            if len(page) < 2:
                break
            query['marker'] = page[-1]
        self.assertEqual(wanted, found)

    def test_action_from_before_is_shown_with_events(self):
        for who in ('demo', ('admin', 'demo')):
            shown = self.cloud.nova.get(f'{self.path}/{self.before[0]["request_id"]}', version='2.84', as_=who)
            self.assertEqual(self.before[0]['action'], shown['instanceAction']['action'])
            self.assertEqual('Success', shown['instanceAction']['events'][0]['result'])
            self.assertEqual(who != 'demo', 'host' in shown['instanceAction']['events'][0])
        self.assertEqual(404, self.cloud.nova.get(f'{self.path}/req-unknown').status)
        self.assertEqual(404, self.cloud.nova.get(f'{self.path}/{self.before[0]["request_id"]}', as_='alt').status)

    def test_wrong_parameter_is_refused_beside_marker_from_before(self):
        marker = self.before[0]['request_id']
        for query in ({'limit': '\u00b2'}, {'limit': 'many'}):
            answer = self.cloud.nova.get(self.path, version='2.66', query={'marker': marker, **query})
            self.assertEqual(400, answer.status, query)
        self.assertEqual([], self.listed(limit='0'))

    def test_time_of_change_selects_actions_from_before(self):
        newest, oldest = self.before[0]['updated_at'], self.before[-1]['updated_at']
        for query, wanted in (
            ({'changes-before': oldest}, [each for each in self.before if each['updated_at'] <= oldest]),
            ({'changes-since': newest}, [each for each in self.before if each['updated_at'] >= newest]),
            ({'changes-since': '2100-01-01T00:00:00Z'}, []),
        ):
            # The emulated pod lists all of its own.
            self.assertEqual(wanted, [each for each in self.listed(**query) if each in self.before], query)

    def test_id_in_capitals_is_that_of_the_server(self):
        path = f'/servers/{self.server_id.upper()}/os-instance-actions'
        listed = self.cloud.nova.get(path, version='2.66')['instanceActions']
        self.assertEqual(self.listed(), listed)

    def test_old_version_shows_fields_of_its_time(self):
        new = self.cloud.nova.get(self.path, version='2.1')['instanceActions'][-1]
        self.assertNotIn('updated_at', new)
        path = f'{self.path}/{self.before[0]["request_id"]}'
        self.assertNotIn('events', self.cloud.nova.get(path, version='2.1')['instanceAction'])
        self.assertNotIn('details', str(self.cloud.nova.get(path, version='2.66', as_=('admin', 'demo')).text))
