# SPDX-License-Identifier: Apache-2.0
"""A server and its volume that have moved have their old ids in each other's documents, paths and bodies."""

from trio2o.tests.functional.moves.base import MovesCase


class TestIds(MovesCase):
    def setUp(self):
        super().setUp()
        self.volume_id = self.volume(name='data')
        self.server_id = self.server(volumes=[self.volume_id])
        self.move('server', self.server_id)
        places = [self.place('server', self.server_id), self.place('volume', self.volume_id)]
        self.bottom_ids = [bottom_id for _pod, bottom_id in places]
        self.assertEqual([], [each for each in self.bottom_ids if each in (self.server_id, self.volume_id)])
        self.path = f'/servers/{self.server_id}/os-volume_attachments'

    def ask(self, client, method, path, body=None, status=200, **options):
        answer = client.request(method, path, body, **options)
        self.assertEqual(status, answer.status, (method, path, answer.text))
        for bottom_id in self.bottom_ids:
            self.assertNotIn(bottom_id, answer.text, (method, path))
            self.assertNotIn(bottom_id, str(answer.headers), (method, path))
        return answer

    def nova(self, method, path, body=None, status=200, **options):
        return self.ask(self.cloud.nova, method, path, body, status, version='2.89', **options)

    def cinder(self, path, **options):
        return self.ask(self.cloud.cinder, 'GET', path, version='3.70', **options)

    def test_nova_shows_ids_from_before(self):
        (listed,) = self.nova('GET', self.path)['volumeAttachments']
        shown = self.nova('GET', f'{self.path}/{self.volume_id}')['volumeAttachment']
        for each in (listed, shown):
            self.assertEqual((self.server_id, self.volume_id), (each['serverId'], each['volumeId']))
        upper = f'/servers/{self.server_id.upper()}/os-volume_attachments/{self.volume_id.upper()}'
        self.assertEqual(shown, self.nova('GET', upper)['volumeAttachment'])
        for server in (self.show(self.server_id), self.cloud.nova.get('/servers/detail')['servers'][0]):
            self.assertEqual([self.volume_id], [each['id'] for each in server['os-extended-volumes:volumes_attached']])

    def test_cinder_shows_ids_from_before(self):
        volumes = [self.cinder(f'/volumes/{self.volume_id}')['volume'], *self.cinder('/volumes/detail')['volumes']]
        for volume in volumes:
            (attachment,) = volume['attachments']
            self.assertEqual((self.server_id, self.volume_id), (attachment['server_id'], attachment['volume_id']))
            self.assertEqual(self.volume_id, attachment['id'])
        for query in ({}, {'volume_id': self.volume_id}, {'instance_id': self.server_id}):
            for path in ('/attachments', '/attachments/detail'):
                (attachment,) = self.cinder(path, query=query)['attachments']
                self.assertEqual((self.volume_id, self.server_id), (attachment['volume_id'], attachment['instance']))
        shown = self.cinder(f'/attachments/{attachment["id"]}')['attachment']
        self.assertEqual((self.volume_id, self.server_id), (shown['volume_id'], shown['instance']))

    def test_ids_from_before_are_understood_in_paths_and_bodies(self):
        body = {'volumeAttachment': {'volumeId': self.volume_id, 'delete_on_termination': True}}
        self.nova('PUT', f'{self.path}/{self.volume_id}', body, status=202)
        self.nova('DELETE', f'{self.path}/{self.volume_id}', status=202)
        self.assertEqual([], self.nova('GET', self.path)['volumeAttachments'])
        found = self.nova('POST', self.path, {'volumeAttachment': {'volumeId': self.volume_id}})['volumeAttachment']
        self.assertEqual((self.server_id, self.volume_id), (found['serverId'], found['volumeId']))
        self.cinder(f'/volumes/{self.volume_id}')

    def test_other_project_finds_neither(self):
        for each in (self.server_id, self.bottom_ids[0]):
            self.assertEqual(404, self.cloud.nova.get(f'/servers/{each}/os-volume_attachments', as_='alt').status)
        for each in (self.volume_id, self.bottom_ids[1]):
            self.assertEqual(404, self.cloud.cinder.get(f'/volumes/{each}', as_='alt').status)

    def test_admin_lists_ids_from_before(self):
        options = {'as_': 'admin', 'query': {'all_tenants': '1'}}
        self.assertEqual([self.server_id], [each['id'] for each in self.nova('GET', '/servers', **options)['servers']])
        self.assertEqual([self.volume_id], [each['id'] for each in self.cinder('/volumes', **options)['volumes']])
