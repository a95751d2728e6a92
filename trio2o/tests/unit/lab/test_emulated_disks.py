# SPDX-License-Identifier: Apache-2.0
"""The bytes of images, servers, volumes, snapshots and backups of emulated pods."""

import hashlib
import json

import testtools

from trio2o.lab.disks import SIZE
from trio2o.lab.emulated.cinder.storage import Storage
from trio2o.lab.emulated.topology import Cloud
from trio2o.tests.unit.lab.client import Client

DATA = b'known bytes'


class Base(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.cloud = Cloud(pods=2)
        self.pod = self.cloud.pod('Pod1')
        self.client = Client(self.cloud)
        self.admin = Client(self.cloud, user='admin')
        self.image = self.cloud.glance.add_image('known', data=DATA)['id']

    def sent(self, status, answer):
        self.assertEqual(status, answer.status, answer.body)
        return next(iter(answer.json.values())) if answer.body else None

    def settle(self):
        self.pod.nova.settle()
        self.pod.cinder.settle()

    def read(self, kind, identifier, pod='Pod1'):
        return self.cloud.pod(pod).disk(kind, identifier).read()

    def write(self, kind, identifier, data=b'+'):
        self.pod.disk(kind, identifier).write(data)

    def volume(self, client=None, **given):
        client = client or self.client
        made = self.sent(202, client.cinder('POST', '/volumes', {'volume': {'size': 1, **given}}, '3.60'))['id']
        client.pod.cinder.settle()
        return made

    def snapshot(self, volume):
        body = {'snapshot': {'volume_id': volume, 'force': True}}
        made = self.sent(202, self.client.cinder('POST', '/snapshots', body))['id']
        self.settle()
        return made

    def backup(self, volume, **given):
        body = {'backup': {'volume_id': volume, **given}}
        made = self.sent(202, self.client.cinder('POST', '/backups', body))['id']
        self.settle()
        return made

    def server(self, **given):
        body = {'server': {'name': 's', 'flavorRef': '1', 'networks': 'none', 'imageRef': self.image, **given}}
        made = self.sent(202, self.client.nova('POST', '/servers', body, '2.60'))['id']
        self.settle()
        return made

    def act(self, server, version='2.60', status=202, **action):
        return self.sent(status, self.client.nova('POST', f'/servers/{server}/action', action, version))

    def change(self, volume, client=None, **action):
        (client or self.client).cinder('POST', f'/volumes/{volume}/action', action, '3.68')


class TestImages(Base):
    def queue(self, client=None, **given):
        body = {'name': 'new', 'disk_format': 'raw', 'container_format': 'bare', **given}
        answer = (client or self.client).glance('POST', '', body)
        self.assertEqual(201, answer.status, answer.body)
        return answer.json

    def test_upload_makes_queued_image_active_with_checksums(self):
        image = self.queue(note='kept')
        self.assertEqual(('queued', None, None), tuple(image[key] for key in ('status', 'size', 'os_hash_value')))
        self.assertEqual(204, self.client.glance('GET', f'/{image["id"]}/file').status)
        self.assertEqual(204, self.client.glance('PUT', f'/{image["id"]}/file', DATA).status)
        shown = self.client.glance('GET', f'/{image["id"]}').json
        self.assertEqual(
            ('active', len(DATA), hashlib.md5(DATA).hexdigest(), 'sha512', hashlib.sha512(DATA).hexdigest(), 'kept'),
            tuple(shown[key] for key in ('status', 'size', 'checksum', 'os_hash_algo', 'os_hash_value', 'note')),
        )
        answer = self.client.glance('GET', f'/{image["id"]}/file')
        self.assertEqual((200, DATA), (answer.status, answer.body))
        self.assertEqual([shown['checksum']], answer.headers['content-md5'])

    def patch(self, image, *changes, client=None, kind='application/openstack-images-v2.1-json-patch'):
        body = [dict(zip(('op', 'path', 'value'), change, strict=False)) for change in changes]
        return (client or self.client).glance('PATCH', f'/{image}', body, Content_Type=kind)

    def test_json_patch_changes_names_tags_and_properties(self):
        image = self.queue(note='old')['id']
        answer = self.patch(
            image,
            ('replace', '/name', 'renamed'),
            ('add', '/tags', ['b', 'a', 'b']),
            ('add', '/colour', 'red'),
            ('remove', '/note'),
        )
        self.assertEqual(200, answer.status, answer.body)
        shown = self.client.glance('GET', f'/{image}').json
        self.assertEqual(answer.json, shown)
        self.assertEqual(
            ('renamed', ['a', 'b'], 'red', None), tuple(shown.get(key) for key in ('name', 'tags', 'colour', 'note'))
        )

    def test_json_patch_that_is_refused_changes_nothing(self):
        image = self.queue()['id']
        before = self.client.glance('GET', f'/{image}').json
        for status, change in (
            (403, ('replace', '/status', 'active')),
            (403, ('remove', '/name')),
            (403, ('replace', '/owner', 'another')),
            (409, ('replace', '/unknown', 'x')),
            (409, ('remove', '/unknown')),
            (400, ('move', '/name', 'x')),
            (400, ('replace', '/tags', 'x')),
        ):
            answer = self.patch(image, ('replace', '/name', 'changed'), change)
            self.assertEqual((status, before), (answer.status, self.client.glance('GET', f'/{image}').json), change)
        self.assertEqual(415, self.patch(image, kind='application/json').status)
        self.assertEqual(403, self.patch(self.image, ('replace', '/name', 'x')).status)

    def test_held_uploads_are_saving_until_they_are_released(self):
        server, volume, queued = self.server(), self.volume(imageRef=self.image), self.queue()['id']
        self.cloud.glance.hold()
        self.assertEqual(204, self.client.glance('PUT', f'/{queued}/file', DATA).status)
        copy = self.act(server, createImage={'name': 'copy'})
        body = {'os-volume_upload_image': {'image_name': 'copy'}}
        other = self.sent(202, self.client.cinder('POST', f'/volumes/{volume}/action', body))['image_id']

        def states():
            shown = [self.client.glance('GET', f'/{image}').json for image in (queued, copy, other)]
            row = self.pod.nova.servers[server]
            return [(image['status'], image['size']) for image in shown], row['task_state'], self.status(volume)

        self.assertEqual(([('saving', None)] * 3, 'image_uploading', 'uploading'), states())
        self.assertEqual(400, self.client.nova('POST', '/servers', self.body_of(copy)).status)
        self.cloud.glance.release()
        self.assertEqual(([('active', len(DATA))] * 3, None, 'available'), states())
        self.assertEqual(DATA, self.read('image', copy))

    def body_of(self, image):
        return {'server': {'name': 's', 'flavorRef': '1', 'imageRef': image}}

    def status(self, volume):
        return self.sent(200, self.client.cinder('GET', f'/volumes/{volume}'))['status']

    def test_flipped_byte_makes_one_copy_differ_from_its_checksum(self):
        self.cloud.glance.flip_byte()
        server = self.server()
        copies = [self.act(server, createImage={'name': 'copy'}) for _ in range(2)]
        for copy, is_equal in zip(copies, (False, True), strict=True):
            shown = self.client.glance('GET', f'/{copy}').json
            data = self.client.glance('GET', f'/{copy}/file').body
            self.assertEqual((len(DATA), hashlib.sha512(DATA).hexdigest()), (shown['size'], shown['os_hash_value']))
            self.assertEqual(is_equal, hashlib.sha512(data).hexdigest() == shown['os_hash_value'])
        self.pod.cinder.flip_byte()
        wrong, right = (self.read('volume', self.volume(imageRef=self.image)) for _ in range(2))
        self.assertEqual((False, len(DATA), DATA), (wrong == DATA, len(wrong), right))

    def test_ranges_are_those_of_glance(self):
        for text, status, body in (
            ('bytes=0-4', 206, b'known'),
            ('bytes=6-', 206, b'bytes'),
            ('bytes=-2', 206, b'es'),
            ('bytes=6-99', 206, b'bytes'),
            ('bytes=11-', 416, None),
            ('words=1-2', 416, None),
            ('bytes=0-1,3-4', 400, None),
        ):
            answer = self.client.glance('GET', f'/{self.image}/file', Range=text)
            self.assertEqual(status, answer.status, text)
            if body is not None:
                self.assertEqual(body, answer.body, text)
        self.assertEqual(
            ['bytes 6-10/11'],
            self.client.glance('GET', f'/{self.image}/file', Range='bytes=6-').headers['content-range'],
        )

    def test_upload_is_refused(self):
        image = self.queue()['id']
        self.assertEqual(415, self.client.glance('PUT', f'/{image}/file', DATA, Content_Type='text/plain').status)
        self.assertEqual(404, self.client.glance('PUT', '/unknown/file', DATA).status)
        self.assertEqual(403, self.client.glance('PUT', f'/{self.image}/file', DATA).status)
        self.assertEqual(409, self.admin.glance('PUT', f'/{self.image}/file', DATA).status)
        self.assertEqual(409, self.client.glance('POST', '', {'id': self.image}).status)
        self.assertEqual(403, self.client.glance('POST', '', {'status': 'active'}).status)
        bare = self.queue(disk_format=None)['id']
        self.assertEqual(400, self.client.glance('PUT', f'/{bare}/file', DATA).status)
        self.assertEqual(DATA, self.read('image', self.image))

    def test_deleted_image_is_gone_with_its_bytes(self):
        image = self.queue()['id']
        alt = Client(self.cloud, user='alt')
        self.assertEqual(
            (404, 403), (alt.glance('DELETE', f'/{image}').status, alt.glance('DELETE', f'/{self.image}').status)
        )
        self.client.glance('PUT', f'/{image}/file', DATA)
        self.assertEqual(204, self.client.glance('DELETE', f'/{image}').status)
        self.assertEqual(404, self.client.glance('GET', f'/{image}/file').status)
        self.assertRaises(KeyError, self.pod.disk, 'image', image)

    def test_protected_image_stays(self):
        image = self.queue(protected=True)['id']
        self.assertEqual(403, self.client.glance('DELETE', f'/{image}').status)

    def test_queued_image_is_of_no_use(self):
        image = self.queue()['id']
        body = {'server': {'name': 's', 'flavorRef': '1', 'networks': 'none', 'imageRef': image}}
        self.assertEqual(400, self.client.nova('POST', '/servers', body, '2.60').status)
        self.assertEqual(
            400, self.client.cinder('POST', '/volumes', {'volume': {'size': 1, 'imageRef': image}}).status
        )

    def test_pod_disk_has_checksum_of_image(self):
        shown = self.client.glance('GET', f'/{self.image}').json
        self.assertEqual(shown['os_hash_value'], self.pod.disk('image', self.image).checksum())


class TestVolumes(Base):
    def test_blank_volumes_are_distinct_and_stay_as_they_are(self):
        one, two = self.volume(), self.volume()
        self.assertNotEqual(self.read('volume', one), self.read('volume', two))
        self.assertEqual(self.read('volume', one), self.read('volume', one))
        self.assertEqual(SIZE, len(self.read('volume', one)))

    def test_volume_begins_as_copy_of_its_source(self):
        first = self.volume(imageRef=self.image)
        self.assertEqual(DATA, self.read('volume', first))
        snapshot = self.snapshot(first)
        self.write('volume', first)
        copies = {
            DATA: self.volume(snapshot_id=snapshot),
            DATA + b'+': self.volume(source_volid=first),
        }
        backup = self.backup(first)
        copies[DATA + b'+'] = self.volume(backup_id=backup)
        self.write('volume', first, b'later')
        for data, volume in copies.items():
            self.assertEqual(data, self.read('volume', volume))
        self.assertEqual(DATA, self.read('snapshot', snapshot))

    def test_volume_is_reverted_to_snapshot(self):
        volume = self.volume(imageRef=self.image)
        snapshot = self.snapshot(volume)
        self.write('volume', volume)
        self.change(volume, revert={'snapshot_id': snapshot})
        self.assertEqual(DATA, self.read('volume', volume))

    def test_extended_and_transferred_volume_keeps_bytes(self):
        volume = self.volume(imageRef=self.image)
        self.change(volume, **{'os-extend': {'new_size': 2}})
        given = self.sent(202, self.client.cinder('POST', '/volume-transfers', {'transfer': {'volume_id': volume}}))
        accept = {'accept': {'auth_key': given['auth_key']}}
        alt = Client(self.cloud, user='alt')
        self.sent(202, alt.cinder('POST', f'/volume-transfers/{given["id"]}/accept', accept))
        self.assertEqual(DATA, self.read('volume', volume))

    def test_uploaded_image_has_bytes_of_volume(self):
        volume = self.volume(imageRef=self.image)
        self.write('volume', volume)
        action = {'os-volume_upload_image': {'image_name': 'copy', 'disk_format': 'qcow2'}}
        made = self.sent(202, self.client.cinder('POST', f'/volumes/{volume}/action', action))
        image = self.client.glance('GET', f'/{made["image_id"]}').json
        self.assertEqual(('active', 'qcow2'), (image['status'], image['disk_format']))
        self.assertEqual(hashlib.sha512(DATA + b'+').hexdigest(), image['os_hash_value'])

    def test_reimaged_volume_has_bytes_of_image(self):
        volume = self.volume()
        self.change(volume, **{'os-reimage': {'image_id': self.image}})
        self.assertEqual(DATA, self.read('volume', volume))

    def test_unmanaged_volume_is_managed_in_another_pod(self):
        volume = self.volume(imageRef=self.image)
        self.change(volume, self.admin, **{'os-unmanage': {}})
        self.assertRaises(KeyError, self.pod.disk, 'volume', volume)
        there = Client(self.cloud, 'Pod2', 'admin')
        host = 'pod2-volume-1@fake'
        body = {'volume': {'host': host, 'ref': {'source-name': f'volume-{volume}'}}}
        made = self.sent(202, there.cinder('POST', '/manageable_volumes', body, '3.60'))
        self.assertEqual(DATA, self.read('volume', made['id'], 'Pod2'))
        again = self.sent(202, there.cinder('POST', '/manageable_volumes', body, '3.60'))
        self.assertNotEqual(DATA, self.read('volume', again['id'], 'Pod2'))

    def test_unmanaged_snapshot_is_managed_again(self):
        volume = self.volume(imageRef=self.image)
        snapshot = self.snapshot(volume)
        self.write('volume', volume)
        answer = self.admin.cinder('POST', f'/snapshots/{snapshot}/action', {'os-unmanage': {}})
        self.assertEqual(202, answer.status)
        body = {'snapshot': {'volume_id': volume, 'ref': {'source-name': f'snapshot-{snapshot}'}}}
        made = self.sent(202, self.admin.cinder('POST', '/manageable_snapshots', body, '3.60'))
        self.assertEqual(DATA, self.read('snapshot', made['id']))


class TestBackups(Base):
    def restore(self, client, backup, **given):
        made = self.sent(202, client.cinder('POST', f'/backups/{backup}/restore', {'restore': given}))
        return made['volume_id']

    def imported(self, backup, pod='Pod2'):
        record = self.sent(200, self.admin.cinder('GET', f'/backups/{backup}/export_record'))
        there = Client(self.cloud, pod, 'admin')
        self.sent(201, there.cinder('POST', '/backups/import_record', {'backup-record': record}))
        return there

    def test_restored_volume_has_bytes_of_that_moment(self):
        volume = self.volume(imageRef=self.image)
        snapshot = self.snapshot(volume)
        self.write('volume', volume)
        backup = self.backup(volume)
        older = self.backup(volume, snapshot_id=snapshot)
        self.write('volume', volume, b'later')
        self.assertEqual(DATA + b'+', self.read('volume', self.restore(self.client, backup)))
        self.assertEqual(DATA, self.read('volume', self.restore(self.client, older, volume_id=volume)))
        self.assertEqual(DATA, self.read('volume', volume))

    def test_imported_backup_is_restored_in_another_pod(self):
        volume = self.volume(imageRef=self.image)
        backup = self.backup(volume)
        there = self.imported(backup)
        self.assertEqual(
            self.pod.disk('backup', backup).checksum(), self.cloud.pod('Pod2').disk('backup', backup).checksum()
        )
        self.assertEqual(DATA, self.read('volume', self.restore(there, backup), 'Pod2'))

    def test_increment_without_its_parent_is_not_restored(self):
        volume = self.volume(imageRef=self.image)
        full = self.backup(volume)
        self.write('volume', volume)
        increment = self.backup(volume, incremental=True)
        there = self.imported(increment)
        broken = self.restore(there, increment)
        self.assertEqual('error_restoring', self.cloud.pod('Pod2').cinder.volumes[broken]['status'])
        self.imported(full)
        self.assertEqual(DATA + b'+', self.read('volume', self.restore(there, increment), 'Pod2'))

    def test_store_is_not_shared_and_volume_is_in_error(self):
        self.cloud.pod('Pod2').cinder.storage = Storage()
        backup = self.backup(self.volume())
        broken = self.restore(self.imported(backup), backup)
        self.assertEqual('error_restoring', self.cloud.pod('Pod2').cinder.volumes[broken]['status'])
        self.assertRaises(KeyError, self.cloud.pod('Pod2').disk, 'backup', backup)

    def test_deletion_of_imported_record_deletes_the_objects(self):
        backup = self.backup(self.volume())
        there = self.imported(backup)
        there.cinder('DELETE', f'/backups/{backup}')
        there.pod.cinder.settle()
        self.assertRaises(KeyError, self.pod.disk, 'backup', backup)


class TestServers(Base):
    def image_of(self, server, version='2.60', **action):
        action = action or {'createImage': {'name': 'copy', 'metadata': {'note': 'kept'}}}
        return self.client.glance('GET', '/' + self.act(server, version, **action)).json

    def test_root_disk_begins_as_image_and_images_of_it_have_what_the_guest_wrote(self):
        server, other = self.server(), self.server()
        self.write('root', server)
        image = self.image_of(server)
        self.assertEqual((DATA + b'+', 'kept'), (self.read('image', image['id']), image['note']))
        self.write('root', server, b'later')
        backup = {'createBackup': {'name': 'b', 'backup_type': 'daily', 'rotation': 1}}
        self.assertEqual(DATA + b'+later', self.read('image', self.image_of(server, **backup)['id']))
        self.assertEqual(DATA + b'+', self.read('image', image['id']))
        self.assertEqual(DATA, self.read('root', other))
        self.assertEqual(
            DATA, self.read('root', self.cloud.add_servers('Pod1', 'demo', image_ref=self.image)[0]['id'])
        )

    def test_rebuild_replaces_root_disk(self):
        server = self.server()
        self.write('root', server)
        self.act(server, rebuild={'imageRef': self.image})
        self.assertEqual(DATA, self.read('root', server))

    def test_rescue_resize_and_migration_keep_root_disk(self):
        server = self.server()
        self.write('root', server)
        for action in ({'rescue': {}}, {'unrescue': None}, {'resize': {'flavorRef': '2'}}, {'confirmResize': None}):
            self.client.nova('POST', f'/servers/{server}/action', action)
        self.admin.nova('POST', f'/servers/{server}/action', {'migrate': None})
        self.assertEqual('resized', self.pod.nova.servers[server]['vm_state'])
        self.assertEqual(DATA + b'+', self.read('root', server))

    def test_shelved_server_is_an_image_until_it_is_unshelved(self):
        server = self.server()
        self.write('root', server)
        self.act(server, shelve=None)
        (image,) = self.client.glance('GET', '?name=s-shelved').json['images']
        self.assertEqual(DATA + b'+', self.read('image', image['id']))
        self.assertEqual(DATA + b'+', self.read('root', server))
        self.act(server, unshelve=None)
        self.assertEqual(DATA + b'+', self.read('root', server))
        self.assertNotIn(image['id'], self.cloud.glance.images)

    def test_image_of_shelved_server_is_deleted_and_unshelve_fails(self):
        server = self.server()
        self.act(server, shelve=None)
        self.cloud.glance.erase(self.pod.nova.servers[server]['shelved_image'])
        self.act(server, unshelve=None)
        self.assertEqual('error', self.pod.nova.servers[server]['vm_state'])

    def test_deleted_server_has_no_disks(self):
        server = self.server()
        self.act(server, shelve=None)
        self.client.nova('DELETE', f'/servers/{server}')
        self.settle()
        self.assertEqual([], self.client.glance('GET', '?name=s-shelved').json['images'])
        self.assertNotIn('disk', self.pod.nova.servers[server])

    def test_ephemeral_disk_is_lost_by_shelve_and_rebuild(self):
        body = {'flavor': {'name': 'e', 'ram': 1, 'disk': 1, 'vcpus': 1, 'OS-FLV-EXT-DATA:ephemeral': 1}}
        flavor = self.sent(200, self.admin.nova('POST', '/flavors', body))['id']
        server = self.server(flavorRef=flavor)
        self.write('ephemeral', server)
        before = self.read('ephemeral', server)
        self.act(server, shelve=None)
        self.act(server, unshelve=None)
        after = self.read('ephemeral', server)
        self.assertNotEqual(before, after)
        self.act(server, rebuild={'imageRef': self.image})
        self.assertNotEqual(after, self.read('ephemeral', server))
        self.assertRaises(KeyError, self.pod.disk, 'ephemeral', self.server())

    def test_config_drive_is_written_at_the_first_boot(self):
        server = self.server(config_drive=True, user_data='IyE=', metadata={'a': 'b'})
        before = self.read('config drive', server)
        content = json.loads(before)
        self.assertEqual((server, {'a': 'b'}), tuple(content['meta_data.json'][key] for key in ('uuid', 'meta')))
        self.client.nova('POST', f'/servers/{server}/metadata', {'metadata': {'c': 'd'}})
        self.assertEqual(before, self.read('config drive', server))
        self.act(server, rebuild={'imageRef': self.image})
        self.assertNotEqual(before, self.read('config drive', server))
        self.assertRaises(KeyError, self.pod.disk, 'config drive', self.server())


class TestBootVolumes(Base):
    def boot(self, *devices, **given):
        mapping = [{'destination_type': 'volume', 'volume_size': 1, **device} for device in devices]
        return self.server(imageRef='', block_device_mapping_v2=mapping, **given)

    def root_of(self, server):
        return self.pod.nova.servers[server]['volumes'][0]['volume_id']

    def test_boot_volume_is_a_copy_of_its_source_or_the_volume_itself(self):
        volume = self.volume(imageRef=self.image)
        for source, identifier in (('volume', volume), ('snapshot', self.snapshot(volume)), ('image', self.image)):
            server = self.boot({'source_type': source, 'uuid': identifier, 'boot_index': 0})
            self.write('root', server)
            self.assertEqual(DATA + b'+', self.read('root', server))
            self.assertEqual(DATA + b'+', self.read('volume', self.root_of(server)))
        self.assertEqual(DATA, self.read('image', self.image))

    def test_image_of_server_has_snapshots_and_no_bytes_and_boots(self):
        server = self.boot(
            {'source_type': 'blank', 'boot_index': -1}, {'source_type': 'image', 'uuid': self.image, 'boot_index': '0'}
        )
        self.write('root', server)
        data = [self.read('volume', row['volume_id']) for row in self.pod.nova.servers[server]['volumes']]
        image = self.client.glance('GET', '/' + self.act(server, createImage={'name': 'copy'})).json
        self.assertEqual(
            (0, hashlib.md5(b'').hexdigest(), 'active'), (image['size'], image['checksum'], image['status'])
        )
        mapping = json.loads(image['block_device_mapping'])
        self.assertEqual(data, [self.read('snapshot', row['snapshot_id']) for row in mapping])
        self.assertEqual([0, None], [row['boot_index'] for row in mapping])
        self.write('root', server, b'later')
        copy = self.server(imageRef=image['id'])
        self.assertEqual(
            data, [self.read('volume', row['volume_id']) for row in self.pod.nova.servers[copy]['volumes']]
        )
        self.assertEqual(data[0], self.read('root', copy))

    def test_backup_of_server_is_refused(self):
        server = self.boot({'source_type': 'image', 'uuid': self.image, 'boot_index': 0})
        self.act(server, status=400, createBackup={'name': 'b', 'backup_type': 'daily', 'rotation': 1})

    def test_shelved_server_keeps_its_volume(self):
        server = self.boot({'source_type': 'image', 'uuid': self.image, 'boot_index': 0})
        self.act(server, shelve=None)
        self.assertEqual([], self.client.glance('GET', '?name=s-shelved').json['images'])
        self.act(server, unshelve=None)
        self.assertEqual(DATA, self.read('root', server))

    def test_rebuild_replaces_boot_volume_from_2_93(self):
        server = self.boot({'source_type': 'image', 'uuid': self.image, 'boot_index': 0})
        self.write('root', server)
        self.act(server, rebuild={'imageRef': self.image})
        self.assertEqual(DATA + b'+', self.read('root', server))
        self.act(server, '2.93', rebuild={'imageRef': self.image})
        self.assertEqual(DATA, self.read('root', server))
