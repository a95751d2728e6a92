# SPDX-License-Identifier: Apache-2.0
"""A pod on MySQL takes ``foo``, ``Foo`` and ``Foo `` for one name. What it does with a request holds in all pods."""

from trio2o.db import jobs as db_jobs
from trio2o.db import replicas
from trio2o.lab.emulated import cinder, nova
from trio2o.lab.emulated.faults import Alter, DropAfter, Refuse
from trio2o.lab.emulated.topology import Cloud
from trio2o.tests.fixtures.cloud import GATEWAY
from trio2o.tests.functional.jobs.base import JobsCase

KEY = 'ssh-rsa AAAAB3NzaC1yc2E me@here'
OTHER_KEY = 'ssh-rsa AAAAB3NzaC1yc2F you@there'
MYSQL = {'nova': nova.Settings(ignores_case=True), 'cinder': cinder.Settings(ignores_case=True)}


class NamesCase(JobsCase):
    def setUp(self):
        super().setUp()
        self.db = self.cloud.runtime.db
        self.user = self.cloud.lab.user_id('demo')

    def keypair(self, name, status=200, public_key=KEY):
        body = {'keypair': {'name': name, 'public_key': public_key}}
        answer = self.cloud.nova.post('/os-keypairs', body)
        self.assertEqual(status, answer.status, answer.text)

    def remove(self, path, status=202, service=None, as_='admin', **kwargs):
        answer = (service or self.cloud.nova).delete(path, as_=as_, **kwargs)
        self.assertEqual(status, answer.status, answer.text)

    def keypairs(self):
        """The names of the user's key pairs in each pod."""
        return [sorted(name for user, name in pod.nova.keypairs if user == self.user) for pod in self.pods_]

    def recorded(self, kind):
        """The keys of the objects that are recorded, and the keys in all pods after their repair."""
        for _ in range(2):
            for job in db_jobs.list_(self.db, filters={'state': 'new'}):
                db_jobs.redo(self.db, job.id)
            self.cloud.run_jobs()
            for name in self.cloud.pod_ids:
                self.repair(name)
        keys = [obj.key.rpartition('/')[2] for obj in replicas.list_objects(self.db, kind)]
        return [key for key in keys if key not in ('1', '2', '3')]  # flavors that the pods had before

    def down(self, name):
        for service in (self.nova(name), self.cinder(name)):
            service.faults.add(Refuse())

    def up(self, name):
        for service in (self.nova(name), self.cinder(name)):
            service.faults.clear()

    @property
    def pods_(self):
        return list(self.cloud.lab.pods.values())


class TestPodsThatIgnoreCase(NamesCase):
    def gateway(self, run_jobs=True, **options):
        return super().gateway(run_jobs, **MYSQL, **options)

    # -- key pairs --

    def test_key_pair_deleted_by_another_spelling_stays_deleted(self):
        for spelling in ('foo', 'FOO', 'Foo%20', 'f%6F%6f%20%20'):
            self.keypair('Foo')
            self.assertEqual([['Foo'], ['Foo']], self.keypairs())
            self.remove(f'/os-keypairs/{spelling}', as_='demo')
            self.assertEqual([[], []], self.keypairs())
            self.assertEqual([], self.recorded('keypair'))
            self.assertEqual([[], []], self.keypairs())

    def test_key_pair_created_again_in_another_case_can_be_deleted_by_either(self):
        for name, spelling in (('Foo', 'Foo'), ('foo', 'foo'), ('Foo', 'foo'), ('foo', 'FOO')):
            self.keypair(name)
            self.assertEqual([name], self.recorded('keypair'))
            self.remove(f'/os-keypairs/{spelling}', as_='demo')
            self.assertEqual([], self.recorded('keypair'))
            self.assertEqual([[], []], self.keypairs())

    def test_deletion_by_another_spelling_reaches_pod_that_was_down(self):
        self.keypair('Foo')
        self.down('Pod2')
        self.remove('/os-keypairs/foo', as_='demo')
        self.up('Pod2')
        self.assertEqual([], self.recorded('keypair'))
        self.assertEqual([[], []], self.keypairs())

    def test_new_key_pair_replaces_old_one_of_another_case_in_pod_that_was_down(self):
        self.keypair('foo')
        self.remove('/os-keypairs/foo', as_='demo')
        self.keypair('Foo')
        self.down('Pod2')
        self.remove('/os-keypairs/Foo', as_='demo')
        self.keypair('foo', public_key=OTHER_KEY)
        self.up('Pod2')
        self.assertEqual(['foo'], self.recorded('keypair'))
        self.assertEqual([['foo'], ['foo']], self.keypairs())

    def test_deletion_with_unknown_outcome_is_recorded_for_what_the_pod_deleted(self):
        self.keypair('Foo')
        self.nova('Pod1').faults.add(DropAfter(method='DELETE', times=1))
        self.remove('/os-keypairs/foo', status=504, as_='demo')
        self.assertEqual([], self.recorded('keypair'))
        self.assertEqual([[], []], self.keypairs())

    def test_conflict_with_name_in_another_case_records_no_second_key_pair(self):
        self.keypair('foo')
        self.keypair('Foo', status=409)
        self.assertEqual(['foo'], self.recorded('keypair'))
        self.remove('/os-keypairs/FOO', as_='demo')
        self.assertEqual([], self.recorded('keypair'))
        self.assertEqual([[], []], self.keypairs())

    def test_key_pair_of_another_user_stays(self):
        self.keypair('Foo')
        body = {'keypair': {'name': 'foo', 'public_key': KEY}}
        self.assertEqual(200, self.cloud.nova.post('/os-keypairs', body, as_='alt').status)
        self.remove('/os-keypairs/FOO', as_='alt')
        self.assertEqual(['Foo'], self.recorded('keypair'))
        self.assertEqual([['Foo'], ['Foo']], self.keypairs())

    def test_admin_deletes_key_pair_of_user_by_another_spelling(self):
        self.keypair('Foo')
        self.remove(f'/os-keypairs/foo?user_id={self.user}', status=204, version='2.10')
        self.assertEqual([], self.recorded('keypair'))

    def test_pod_that_shows_another_name_does_not_delete_that(self):
        self.keypair('Foo')
        self.keypair('victim')
        self.nova('Pod1').faults.add(Alter(path='/os-keypairs/foo', method='GET', values={'name': 'victim'}))
        self.remove('/os-keypairs/foo', as_='demo')
        self.nova('Pod1').faults.clear()
        self.assertIn('victim', self.recorded('keypair'))
        self.assertIn('victim', self.keypairs()[1])

    def test_show_is_answered_and_list_has_one(self):
        self.keypair('Foo')
        self.assertEqual('Foo', self.cloud.nova.get('/os-keypairs/foo%20')['keypair']['name'])
        self.assertEqual(1, len(self.cloud.nova.get('/os-keypairs')['keypairs']))

    def test_server_create_brings_key_pair_of_another_case_to_pod_out_of_sync(self):
        self.make_flavor(id='f1')
        self.nova('Pod2').faults.add(Refuse(path='/os-keypairs'))
        self.keypair('Foo')
        self.nova('Pod2').faults.clear()
        self.assertEqual([['Foo'], []], self.keypairs())
        server = {'name': 's', 'flavorRef': 'F1 ', 'key_name': 'foo', 'availability_zone': 'az2'}
        server |= {'imageRef': self.cloud.lab.image['id'], 'networks': 'none'}
        answer = self.cloud.nova.post('/servers', {'server': server})
        self.assertEqual(202, answer.status, answer.text)
        self.assertEqual([['Foo'], ['Foo']], self.keypairs())

    # -- flavors --

    def test_flavor_deleted_by_another_spelling_stays_deleted(self):
        for spelling in ('bugm1', 'BUGM1', 'BugM1%20'):
            self.make_flavor(id='BugM1', name='BugM1')
            self.remove(f'/flavors/{spelling}')
            self.assertEqual([None, None], self.flavors('BugM1'))
            self.assertEqual([], self.recorded('flavor'))
            self.assertEqual([None, None], self.flavors('BugM1'))

    def test_change_of_flavor_by_another_spelling_is_brought_to_all_pods(self):
        self.make_flavor(id='BugM1', **{'os-flavor-access:is_public': False})
        project = self.cloud.project_id('demo')
        for path, body, version in (
            ('/flavors/bugm1', {'flavor': {'description': 'new'}}, '2.55'),
            ('/flavors/BUGM1/os-extra_specs/hw:x', {'hw:x': '2'}, None),
        ):
            self.assertEqual(200, self.cloud.nova.put(path, body, as_='admin', version=version).status)
        for path, body in (
            ('/flavors/bugM1%20/os-extra_specs', {'extra_specs': {'hw:y': '1'}}),
            ('/flavors/bugM1/action', {'addTenantAccess': {'tenant': project}}),
        ):
            self.assertEqual(200, self.cloud.nova.post(path, body, as_='admin').status)
        self.remove('/flavors/bugM1/os-extra_specs/hw:x', 200)
        self.assertEqual(['BugM1'], self.recorded('flavor'))
        for flavor in self.flavors('BugM1'):
            self.assertEqual(
                ('BugM1', 'new', {'hw:y': '1'}, {project}),
                (flavor['id'], flavor['description'], flavor['extra_specs'], flavor['projects']),
            )

    def test_flavor_deleted_by_whom_only_pods_take_for_admin_stays_deleted(self):
        self.make_flavor(id='BugM1')
        for pod in self.pods_:
            pod.nova.admin_role = 'cloud_admin'
        token = self.cloud.lab.keystone.issue_token('demo', 'demo', roles=('cloud_admin',))
        self.remove('/flavors/bugm1', as_=None, headers={'X-Auth-Token': token})
        for pod in self.pods_:
            pod.nova.admin_role = 'admin'
        self.assertEqual([], self.recorded('flavor'))
        self.assertEqual([None, None], self.flavors('BugM1'))

    def test_flavor_beside_one_of_another_case_is_a_conflict_and_is_not_recorded(self):
        self.make_flavor(id='BugM1', name='a')
        self.make_flavor(id='bugm1', name='b', status=409)
        self.make_flavor(id='x', name='A', status=409)
        self.assertEqual(['BugM1'], self.recorded('flavor'))
        self.remove('/flavors/bugm1')
        self.assertEqual([], self.recorded('flavor'))
        self.assertEqual([None, None], self.flavors('BugM1'))

    # -- volume types, QoS specs, group types, default types --

    def spellings(self, object_id):
        return (object_id.upper(), f'{object_id[:9].upper()}{object_id[9:]}', f'{object_id}%20')

    def test_objects_with_ids_of_pods_are_deleted_by_other_spellings(self):
        for kind, path, member, version in (
            ('volume_type', '/types', 'volume_type', None),
            ('qos_spec', '/qos-specs', 'qos_specs', None),
            ('group_type', '/group_types', 'group_type', '3.11'),
        ):
            known = self.recorded(kind)
            for at in range(3):
                answer = self.cloud.cinder.post(path, {member: {'name': 'Gold'}}, as_='admin', version=version)
                self.assertIn(answer.status, (200, 202), answer.text)
                top_id = answer[member]['id']
                self.assertEqual([*known, top_id], self.recorded(kind))
                spelling = self.spellings(top_id)[at]
                self.remove(f'{path}/{spelling}', service=self.cloud.cinder, version=version)
                self.assertEqual(known, self.recorded(kind))
            names = {each['name'] for pod in self.pods_ for each in pod.cinder.types.values()}
            self.assertEqual({'__DEFAULT__'}, names)

    def test_type_by_id_in_capitals_is_changed_in_all_pods(self):
        top_id = self.make_type(name='Gold')['id']
        types = self.cloud.cinder
        body = {'volume_type': {'name': 'gold'}}
        self.assertEqual(200, types.put(f'/types/{top_id.upper()}', body, as_='admin').status)
        specs = f'/types/{top_id.upper()}/extra_specs'
        self.assertEqual(200, types.post(specs, {'extra_specs': {'Vendor': '1', 'b': '2'}}, as_='admin').status)
        self.remove(f'{specs}/vendor', service=types)
        self.assertEqual(2, len(self.recorded('volume_type')))
        for kind in self.types('gold'):
            self.assertEqual({'b': '2'}, kind['extra_specs'])

    def test_type_by_id_in_capitals_is_found_in_pod_with_another_id(self):
        top_id = self.make_type(name='Gold')['id']
        self.down('Pod1')
        answer = self.cloud.cinder.get(f'/types/{top_id.upper()}', as_='admin')
        self.assertEqual((200, top_id), (answer.status, answer['volume_type']['id']))
        body = {'volume': {'size': 1, 'volume_type': top_id.upper(), 'availability_zone': 'az2'}}
        answer = self.cloud.cinder.post('/volumes', body)
        self.assertEqual((202, 'Gold'), (answer.status, answer['volume']['volume_type']))

    def test_type_used_in_one_pod_is_not_deleted_by_id_in_capitals(self):
        top_id = self.make_type(name='Gold')['id']
        body = {'volume': {'size': 1, 'volume_type': 'Gold', 'availability_zone': 'az2'}}
        self.assertEqual(202, self.cloud.cinder.post('/volumes', body).status)
        self.remove(f'/types/{top_id.upper()}', status=400, service=self.cloud.cinder)
        self.assertNotIn(None, self.types('Gold'))

    def test_volume_of_type_named_in_another_case_counts_in_quota_of_the_type(self):
        self.make_type(name='Gold')
        limits = {'quota_set': {'gigabytes_Gold': 1}}
        project = self.cloud.project_id('demo')
        self.assertEqual(200, self.cloud.cinder.put(f'/os-quota-sets/{project}', limits, as_='admin').status)
        for name in ('Gold', 'gold', 'GOLD '):
            body = {'volume': {'size': 2, 'volume_type': name}}
            self.assertEqual(413, self.cloud.cinder.post('/volumes', body).status, name)
        body = {'volume': {'size': 1, 'volume_type': 'gOLD'}}
        self.assertEqual(202, self.cloud.cinder.post('/volumes', body).status)

    def test_default_type_of_project_in_another_case_is_unset(self):
        project = self.cloud.project_id('demo')
        path = f'/default-types/{project}'
        self.make_type(name='Gold')
        body = {'default_type': {'volume_type': 'gOLD'}}
        answer = self.cloud.cinder.put(path, body, as_='admin', version='3.62')
        self.assertEqual(200, answer.status, answer.text)
        self.remove(path.replace(project, project.upper()), 204, self.cloud.cinder, version='3.62')
        self.assertEqual([], self.recorded('default_type'))
        self.assertEqual([{}, {}], [pod.cinder.default_types for pod in self.pods_])


class TestPodsSideBySide(NamesCase):
    """Pod1 ignores case, and Pod2 does not."""

    pods = None

    def gateway(self, run_jobs=True, **options):
        self.pods = Cloud([], gateway=GATEWAY)
        self.pods.add_pod('Pod1', **MYSQL)
        self.pods.add_pod('Pod2')
        return super().gateway(run_jobs, **options)

    def test_deletion_that_the_first_pod_carried_out_is_carried_out_in_all(self):
        self.keypair('Foo')
        self.make_flavor(id='BugM1', name='BugM1')
        self.remove('/os-keypairs/foo', as_='demo')
        self.remove('/flavors/bugm1')
        self.assertEqual(([], []), (self.recorded('keypair'), self.recorded('flavor')))
        self.assertEqual([[], []], self.keypairs())
        self.assertEqual([None, None], self.flavors('BugM1'))

    #: Two keys of the specs of each kind, which Pod1 takes for one.
    KEYS = ('a:Key', 'a:key')

    def objects_with_specs(self):
        """Create objects with specs. :returns: kind -> key, service, path and member of the specs, version"""
        self.make_flavor(id='f1')
        cinder = self.cloud.cinder
        type_id = self.make_type(name='Gold')['id']
        group = {'group_type': {'name': 'G'}}
        group_id = cinder.post('/group_types', group, as_='admin', version='3.11')['group_type']['id']
        qos_id = cinder.post('/qos-specs', {'qos_specs': {'name': 'Q'}}, as_='admin')['qos_specs']['id']
        return {
            'flavor': ('f1', self.cloud.nova, '/flavors/f1/os-extra_specs', 'extra_specs', None),
            'volume_type': (type_id, cinder, f'/types/{type_id}/extra_specs', 'extra_specs', None),
            'group_type': (group_id, cinder, f'/group_types/{group_id}/group_specs', 'group_specs', '3.11'),
            'qos_spec': (qos_id, cinder, f'/qos-specs/{qos_id}', 'qos_specs', None),
        }

    def writes(self, name):
        pod = self.cloud.lab.pod(name)
        return [seen for service in (pod.nova, pod.cinder) for seen in service.requests if seen.method != 'GET']

    def test_keys_that_a_pod_takes_for_one_are_a_conflict_and_are_not_repaired_again(self):
        objects = self.objects_with_specs()
        self.down('Pod1')
        for key, service, path, member, version in objects.values():
            send = service.put if path.endswith(f'/qos-specs/{key}') else service.post
            answer = send(path, {member: dict(zip(self.KEYS, '12', strict=True))}, as_='admin', version=version)
            self.assertIn(answer.status, (200, 202), answer.text)
        self.up('Pod1')
        for kind in objects:
            self.recorded(kind)
        written = len(self.writes('Pod1'))
        for _ in range(2):
            self.repair('Pod1')
            self.repair('Pod2')
        self.assertEqual(written, len(self.writes('Pod1')))
        for kind, (key, *_rest) in objects.items():
            replica = self.replica(kind, key, 'Pod1')
            self.assertEqual('failed', replica.state, kind)
            self.assertIn('takes keys that differ only in case for one', replica.error)
            self.assertEqual('in_sync', self.replica(kind, key, 'Pod2').state)

    def test_conflict_of_keys_ends_when_one_of_them_is_removed(self):
        key, service, path, member, _version = self.objects_with_specs()['volume_type']
        self.down('Pod1')
        service.post(path, {member: dict(zip(self.KEYS, '12', strict=True))}, as_='admin')
        self.up('Pod1')
        self.recorded('volume_type')
        self.down('Pod1')
        self.remove(f'{path}/{self.KEYS[0]}', service=service)
        self.up('Pod1')
        self.recorded('volume_type')
        self.assertEqual([{'a:key': '2'}, {'a:key': '2'}], [kind['extra_specs'] for kind in self.types('Gold')])
        self.assertEqual('in_sync', self.replica('volume_type', key, 'Pod1').state)

    def test_pod_with_another_spelling_of_a_key_is_repaired_once(self):
        key, service, path, member, _version = self.objects_with_specs()['volume_type']
        service.post(path, {member: {'a:key': '1'}}, as_='admin')
        for kind in self.types('Gold'):
            del kind['extra_specs']['a:key']
            kind['extra_specs']['A:KEY'] = '1'
        self.recorded('volume_type')
        self.assertEqual([{'a:key': '1'}, {'a:key': '1'}], [kind['extra_specs'] for kind in self.types('Gold')])
        for name in self.cloud.pod_ids:
            written = len(self.writes(name))
            self.repair(name)
            self.assertEqual(written, len(self.writes(name)))
            self.assertEqual('in_sync', self.replica('volume_type', key, name).state)

    def test_nothing_is_deleted_if_first_pod_distinguishes_case(self):
        self.keypair('Foo')
        self.make_flavor(id='BugM1', name='BugM1')
        self.down('Pod1')
        self.remove('/os-keypairs/foo', status=404, as_='demo')
        self.remove('/flavors/bugm1', status=404)
        self.up('Pod1')
        self.assertEqual((['Foo'], ['BugM1']), (self.recorded('keypair'), self.recorded('flavor')))
        self.assertEqual([['Foo'], ['Foo']], self.keypairs())

    def test_name_that_only_one_pod_has_room_for_is_reported_and_deletes_no_other(self):
        self.keypair('Foo')
        self.down('Pod1')
        self.keypair('foo', public_key=OTHER_KEY)
        self.up('Pod1')
        self.assertEqual(['Foo', 'foo'], self.recorded('keypair'))
        self.assertEqual([['Foo'], ['Foo', 'foo']], self.keypairs())
        self.assertEqual('failed', self.replica('keypair', f'{self.user}/foo', 'Pod1').state)
        self.remove('/os-keypairs/foo', as_='demo')
        self.assertEqual(['Foo'], self.recorded('keypair'))
        self.assertEqual([['Foo'], ['Foo']], self.keypairs())


class TestPodsThatDistinguishCase(NamesCase):
    def test_names_that_differ_in_case_are_two_objects(self):
        self.keypair('Foo')
        self.keypair('foo', public_key=OTHER_KEY)
        self.make_flavor(id='BugM1', name='BugM1')
        self.make_flavor(id='bugm1', name='bugm1')
        self.remove('/os-keypairs/FOO', status=404, as_='demo')
        self.remove('/os-keypairs/foo', as_='demo')
        self.remove('/flavors/BugM1')
        self.assertEqual((['Foo'], ['bugm1']), (self.recorded('keypair'), self.recorded('flavor')))
        self.assertEqual([['Foo'], ['Foo']], self.keypairs())
