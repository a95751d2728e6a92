# SPDX-License-Identifier: Apache-2.0
"""Adopt a pod that is in use, or only report; conflicts are reported, and the objects stay unchanged."""

from trio2o import job_types
from trio2o.db import jobs as db_jobs
from trio2o.db import pods as db_pods
from trio2o.db import quotas, replicas, routings
from trio2o.lab.emulated.faults import BalancerAnswers, Status
from trio2o.resources import ROUTED
from trio2o.tests.functional.jobs.base import JobsCase
from trio2o.xjob.manager import JobManager


class AdoptionCase(JobsCase):
    """Pod3 has resources. It is registered in maintenance, so that no other job records them."""

    def setUp(self):
        super().setUp()
        self.cloud.lab.add_pod('Pod3')
        self.third = self.cloud.pod('Pod3')
        self.direct = self.cloud.direct('Pod3')

    def register(self, **fields):
        pod_id = self.cloud.register_pod('Pod3', 'az3', **{'state': 'maintenance', **fields})
        self.cloud.run_jobs()
        self.cloud.lab.clear_logs()
        return pod_id

    def adopt(self, state='success', **options):
        """Request the adoption through the API and run the job. :returns: the report"""
        answer = self.cloud.api.post(f'/pods/{self.cloud.pod_ids["Pod3"]}/adopt', options)
        self.assertEqual(202, answer.status, answer.text)
        self.cloud.run_jobs()
        job = self.cloud.api.get(f'/jobs/{answer["job"]["id"]}')['job']
        self.assertEqual(state, job['state'], job['error'])
        return job['result']

    def fill(self, servers=3, volumes=2):
        self.servers = self.cloud.lab.add_servers('Pod3', 'demo', servers)
        self.volumes = self.cloud.lab.add_volumes('Pod3', 'demo', volumes, size=2)

    def theirs(self, **given):
        """Create a flavor directly in Pod3."""
        body = {'name': 'theirs', 'ram': 64, 'vcpus': 1, 'disk': 1} | given
        answer = self.direct.post('/flavors', {'flavor': body}, as_='admin', version='2.61')
        self.assertEqual(200, answer.status, answer.text)
        return answer['flavor']

    def their_type(self, name='gold', **given):
        made = self.cloud.direct('Pod3', 'cinder').post('/types', {'volume_type': {'name': name} | given}, as_='admin')
        self.assertEqual(200, made.status, made.text)
        return made['volume_type']

    def register_in_conflict(self):
        """Register Pod3 with a flavor, a type and a key that differ, and a flavor whose name is in use."""
        self.make_flavor(id='f1', name='small', ram=128)
        self.make_flavor(id='f2', name='same')
        self.make_type(name='gold', extra_specs={'tier': '1'})
        self.theirs(id='f1', name='small', ram=512)
        self.theirs(id='x', name='same')
        self.their_type('gold', extra_specs={'tier': '2'})
        self.cloud.nova.post('/os-keypairs', {'keypair': {'name': 'k', 'public_key': KEY}}, version='2.10')
        self.direct.post('/os-keypairs', {'keypair': {'name': 'k', 'public_key': OTHER_KEY}}, as_='demo')
        self.register()

    def conflicts(self, report):
        return {(row['kind'], row['name']): row['text'] for row in report['conflicts']}


class TestDryRun(AdoptionCase):
    def test_dry_run_reports_resources_and_changes_nothing(self):
        self.fill()
        self.theirs(id='t1')
        self.their_type('silver')
        self.register()
        report = self.adopt(dry_run=True)
        self.assertTrue(report['dry_run'])
        self.assertEqual({'total': 3, 'new': 3, 'known': 0, 'moved': 0, 'conflict': 0}, report['resources']['servers'])
        self.assertEqual(2, report['resources']['volumes']['new'])
        kinds = {'servers', 'volumes', 'snapshots', 'backups', 'groups', 'server_groups'}
        self.assertEqual(kinds, set(report['resources']))
        self.assertEqual(1, report['objects']['flavor']['new'])
        self.assertIn(('flavor', 'theirs'), [(row['kind'], row['name']) for row in report['new']])
        self.assertIn(('volume_type', 'silver'), [(row['kind'], row['name']) for row in report['new']])
        self.assertEqual([], report['conflicts'])
        db = self.cloud.runtime.db
        self.assertIsNone(routings.get(db, 'server', self.servers[0]['id']))
        self.assertIsNone(replicas.get_object(db, 'flavor', 't1'))
        self.assertFalse(db_pods.get(db, self.cloud.pod_ids['Pod3']).is_reconciled)
        written = [(each.method, each.path) for each in self.third.nova.requests if each.method != 'GET']
        self.assertEqual([], written)

    def test_dry_run_reports_conflicts(self):
        self.register_in_conflict()
        reported = self.conflicts(self.adopt(dry_run=True))
        self.assertEqual(
            {('flavor', 'small'), ('flavor', 'same'), ('volume_type', 'gold'), ('keypair', 'k')}, set(reported)
        )
        self.assertIn('ram is 512 and should be 128', reported['flavor', 'small'])
        self.assertIn('flavor of this name, with the id f2', reported['flavor', 'same'])
        self.assertIn("extra_specs: tier is '2' and should be '1'", reported['volume_type', 'gold'])
        self.assertIn('another public key', reported['keypair', 'k'])

    def test_dry_run_reports_changes_to_objects_of_pod(self):
        self.make_type(name='gold', description='fast', extra_specs={'tier': '1'})
        self.their_type('gold', description='theirs')
        self.register()
        report = self.adopt(dry_run=True)
        (row,) = [row for row in report['changes'] if row['name'] == 'gold']
        self.assertEqual("description becomes 'fast'; extra_specs: tier becomes '1'", row['text'])

    def test_dry_run_reports_projects_unknown_to_keystone(self):
        self.fill(servers=1, volumes=0)
        for server in self.cloud.lab.add_servers('Pod3', 'gone', 2):
            server['project_id'] = 'f00d' * 8
        self.register()
        report = self.adopt(dry_run=True)
        self.assertEqual({'f00d' * 8: {'servers': 2}}, report['unknown_projects'])
        self.assertTrue(report['are_projects_checked'])

    def test_keystone_refuses_and_projects_are_reported_as_unchecked(self):
        self.fill(servers=1, volumes=0)
        self.register()
        self.cloud.lab.keystone.faults.add(Status(403, path='/projects/'))
        report = self.adopt(dry_run=True)
        self.assertFalse(report['are_projects_checked'])
        self.assertEqual({}, report['unknown_projects'])

    def test_dry_run_reports_resource_of_another_pod_as_conflict(self):
        self.fill(servers=1, volumes=0)
        (server,) = self.servers
        self.nova('Pod1').servers[server['id']] = server
        self.cloud.nova.get(f'/servers/{server["id"]}')
        self.register()
        report = self.adopt(dry_run=True)
        self.assertEqual(1, report['resources']['servers']['conflict'])
        self.assertEqual([server['id']], [row['id'] for row in report['conflicts']])


class TestAdoption(AdoptionCase):
    def test_adopted_resources_are_listed_and_objects_replicated(self):
        self.fill(servers=20, volumes=20)
        self.theirs(id='t1')
        self.their_type('silver')
        self.register()
        report = self.adopt()
        self.assertEqual(20, report['resources']['servers']['new'])
        self.assertTrue(db_pods.get(self.cloud.runtime.db, self.cloud.pod_ids['Pod3']).is_reconciled)
        self.cloud.set_pod('Pod3', state='enabled')
        self.cloud.run_jobs()
        ids = {server['id'] for server in self.cloud.nova.get('/servers/detail')['servers']}
        self.assertLessEqual({server['id'] for server in self.servers}, ids)
        self.assertEqual(20, len(self.cloud.cinder.get('/volumes')['volumes']))
        shown = self.cloud.nova.get(f'/servers/{self.servers[3]["id"]}')['server']
        self.assertEqual('az3', shown['OS-EXT-AZ:availability_zone'])
        # Objects that only this pod had are replicated to all pods.
        self.assertEqual({'theirs'}, {flavor['name'] for flavor in self.flavors('t1')})
        self.assertEqual(3, len([each for each in self.types('silver') if each]))

    def test_adopted_resources_are_counted_in_quota(self):
        self.fill(servers=3, volumes=4)
        self.register()
        self.adopt()
        project_id = self.cloud.project_id('demo')
        in_use = {name: row.in_use for name, row in quotas.usage(self.cloud.runtime.db, project_id).items()}
        self.assertEqual((3, 4, 8), (in_use['instances'], in_use['volumes'], in_use['gigabytes']))

    def test_conflict_stays_until_operator_resolves_it(self):
        self.fill(servers=1, volumes=0)
        self.make_flavor(id='f1', name='small', ram=128)
        self.make_type(name='gold', extra_specs={'tier': '1'})
        self.theirs(id='f1', name='small', ram=512)
        their_type = self.their_type('gold', extra_specs={'tier': '2'})
        self.register()
        report = self.adopt()
        self.assertEqual({('flavor', 'small'), ('volume_type', 'gold')}, set(self.conflicts(report)))
        self.cloud.set_pod('Pod3', state='enabled')
        self.cloud.run_jobs()
        self.repair('Pod3')
        self.assertEqual([128, 128, 512], [flavor['ram'] for flavor in self.flavors('f1')])
        self.assertEqual({'tier': '2'}, self.third.cinder.types[their_type['id']]['extra_specs'])
        out_of_sync = {row['key']: row for row in self.cloud.api.get('/replicas')['replicas']}
        self.assertEqual('failed', out_of_sync['f1']['state'])
        # The rest is adopted, and the operator can resolve the conflicts.
        self.assertIsNotNone(routings.get(self.cloud.runtime.db, 'server', self.servers[0]['id']))
        self.third.nova.flavors.pop('f1')
        self.third.cinder.types[their_type['id']]['extra_specs'] = {}
        self.repair('Pod3')
        self.assertEqual([128, 128, 128], [flavor['ram'] for flavor in self.flavors('f1')])
        self.assertEqual({'tier': '1'}, self.third.cinder.types[their_type['id']]['extra_specs'])
        self.assertEqual([], self.out_of_sync('Pod3'))

    def boot(self, flavor, zone, **fields):
        body = {'name': 'x', 'imageRef': self.cloud.lab.image['id'], 'flavorRef': flavor, 'availability_zone': zone}
        return self.cloud.nova.post('/servers', {'server': {**body, **fields}})

    def test_create_with_conflicting_object_is_refused(self):
        self.register_in_conflict()
        self.adopt()
        self.cloud.set_pod('Pod3', state='enabled')
        self.cloud.run_jobs()
        self.repair('Pod3')
        # The name belongs to the flavor of the gateway; that of the pod is not imported.
        self.assertIsNone(replicas.get_object(self.cloud.runtime.db, 'flavor', 'x'))
        self.assertEqual(([], []), (self.out_of_sync('Pod1'), self.out_of_sync('Pod2')))
        for flavor, fields in (('f1', {}), ('f2', {}), ('1', {'key_name': 'k'})):
            self.assertEqual(503, self.boot(flavor, 'az3', **fields).status)
        volume = {'size': 1, 'volume_type': 'gold', 'availability_zone': 'az3'}
        self.assertEqual(503, self.cloud.cinder.post('/volumes', {'volume': volume}).status)
        self.assertEqual(({}, {}), (self.third.nova.servers, self.third.cinder.volumes))
        wanted = {'project_id': self.cloud.project_id('demo'), 'flavor': 'f1', 'az_name': 'az3'}
        (dropped,) = [
            each
            for each in self.cloud.api.post('/pods/select', {'selection': wanted})['selection']['dropped']
            if each['pod_name'] == 'Pod3'
        ]
        self.assertEqual('replicas', dropped['filter'])
        self.assertIn('ram is 512', dropped['reason'])
        # Objects without a conflict are used, also if another user has a key of that name.
        self.assertEqual(202, self.boot('1', 'az3').status)
        self.assertEqual(202, self.boot('f1', 'az1').status)
        (volume,) = self.cloud.lab.add_volumes('Pod3', 'demo')
        disk = {'source_type': 'volume', 'destination_type': 'volume', 'boot_index': 0, 'uuid': volume['id']}
        answer = self.boot('f1', 'az3', imageRef='', block_device_mapping_v2=[disk])
        self.assertEqual(400, answer.status, answer.text)
        self.assertIn('flavor small', answer.fault)

    def test_server_in_deletion_is_not_adopted(self):
        self.fill()
        self.servers[0]['vm_state'] = 'deleted'
        self.register()
        self.assertEqual(2, self.adopt()['resources']['servers']['total'])
        self.assertIsNone(routings.get(self.cloud.runtime.db, 'server', self.servers[0]['id']))

    def test_second_adoption_reports_all_as_known(self):
        self.fill()
        self.register()
        self.adopt()
        report = self.adopt()
        self.assertEqual((0, 3), (report['resources']['servers']['new'], report['resources']['servers']['known']))

    def test_enabled_pod_is_adopted_at_registration(self):
        """The registration already records the resources; a later adoption reports them as known."""
        self.fill()
        self.register(state='enabled')
        self.assertIsNotNone(routings.get(self.cloud.runtime.db, 'server', self.servers[0]['id']))
        self.assertEqual(3, self.adopt(dry_run=True)['resources']['servers']['known'])

    def test_resources_are_compared_before_objects_and_objects_are_adopted(self):
        """The periodic comparison of resources may run before the new pod's first synchronization."""
        self.theirs(id='t1')
        pod_id = self.cloud.register_pod('Pod3', 'az3')
        compared = self.cloud.runtime.jobs.submit(job_types.RECONCILE_ROUTINGS, pod_id, {'pod_id': pod_id})
        JobManager(self.cloud.conf, self.cloud.runtime).run_one(compared.id)
        self.assertTrue(db_pods.get(self.cloud.runtime.db, pod_id).is_reconciled)
        self.cloud.run_jobs()
        self.assertEqual(['theirs'] * 3, [flavor and flavor['name'] for flavor in self.flavors('t1')])

    def test_objects_created_after_adoption_are_not_adopted_when_pod_returns(self):
        pod_id = self.cloud.register_pod('Pod3', 'az3')
        self.cloud.run_jobs()
        self.theirs(id='t1')
        db_pods.set_reconciled(self.cloud.runtime.db, pod_id, None)
        self.cloud.set_pod('Pod3', state='maintenance')
        self.cloud.set_pod('Pod3', state='enabled')
        self.cloud.run_jobs()
        self.assertEqual([None, None, 'theirs'], [flavor and flavor['name'] for flavor in self.flavors('t1')])

    def test_removed_pod_keeps_its_resources(self):
        self.fill()
        flavor = self.theirs(id='t1')
        pod_id = self.register()
        self.adopt()
        self.cloud.lab.clear_logs()
        answer = self.cloud.api.delete(f'/pods/{pod_id}')
        self.assertEqual(409, answer.status)
        answer = self.cloud.api.delete(f'/pods/{pod_id}?force=true')
        self.assertEqual(200, answer.status, answer.text)
        self.cloud.run_jobs()
        self.assertEqual([], [each.path for each in self.third.nova.requests if each.method != 'GET'])
        self.assertEqual([], [each.path for each in self.third.cinder.requests if each.method != 'GET'])
        self.assertEqual(len(self.servers), len(self.third.nova.servers))
        self.assertIn(flavor['id'], self.third.nova.flavors)
        self.assertEqual(404, self.cloud.nova.get(f'/servers/{self.servers[0]["id"]}').status)
        self.assertEqual({}, {kind: count for kind, count in self.counts(pod_id).items() if count})
        usage = quotas.usage(self.cloud.runtime.db, self.cloud.project_id('demo'))
        self.assertEqual({0}, {row.in_use for row in usage.values()})

    def counts(self, pod_id):
        db = self.cloud.runtime.db
        return {
            'routings': routings.count_by_pod(db, pod_id, ROUTED),
            'replicas': len(replicas.list_replicas(db, pod_id=pod_id)),
        }


class Killed(BaseException):
    """The process of the worker was killed."""


class TestResuming(AdoptionCase):
    """A worker is killed: another continues from its progress and reads nothing twice."""

    def setUp(self):
        super().setUp()
        self.third.nova.settings.max_limit = 10
        self.third.cinder.settings.max_limit = 10
        self.fill(servers=45, volumes=35)
        self.register()

    def run_until(self, step, taken):
        """Run the job until so many resources of a kind are recorded, then kill its worker."""
        manager = JobManager(self.cloud.conf, self.cloud.runtime, owner='dead')
        save = manager.save_progress

        def die(job, what):
            is_ours = save(job, what)
            counts = what['report']['resources'].get(step, {})
            if what['step'] == step and counts.get('total', 0) >= taken:
                raise Killed
            return is_ours

        manager.save_progress = die
        self.assertRaises(Killed, manager.run_one)

    def lose(self, job_id):
        """End the lease of the killed worker."""
        job = db_jobs.get(self.cloud.runtime.db, job_id)
        self.assertEqual('running', job.state)
        db_jobs.heartbeat(self.cloud.runtime.db, job_id, job.lease_owner, -1)
        return job

    def test_worker_killed_and_next_one_continues_from_progress(self):
        answer = self.cloud.api.post(f'/pods/{self.cloud.pod_ids["Pod3"]}/adopt')
        job_id = answer['job']['id']
        self.run_until('servers', 20)
        shown = self.cloud.api.get(f'/jobs/{job_id}')['job']['progress']
        self.assertEqual(('servers', 20), (shown['step'], shown['report']['resources']['servers']['total']))
        self.lose(job_id)
        self.run_until('volumes', 10)
        self.lose(job_id)
        self.cloud.lab.clear_logs()
        self.cloud.run_jobs()
        job = self.cloud.api.get(f'/jobs/{job_id}')['job']
        self.assertEqual(('success', 3), (job['state'], job['attempts']), job['error'])
        self.assertEqual(45, job['result']['resources']['servers']['new'])
        self.assertEqual(35, job['result']['resources']['volumes']['new'])
        self.assertEqual([], [each.path for each in self.third.nova.requests if '/servers/detail' in each.path])
        db = self.cloud.runtime.db
        for kind, made in (('server', self.servers), ('volume', self.volumes)):
            self.assertEqual(len(made), len(routings.get_many(db, kind, [each['id'] for each in made])))

    def test_server_named_by_marker_was_deleted_and_adoption_succeeds(self):
        answer = self.cloud.api.post(f'/pods/{self.cloud.pod_ids["Pod3"]}/adopt')
        self.run_until('servers', 20)
        job = self.lose(answer['job']['id'])
        self.third.nova.servers.pop(db_jobs.get(self.cloud.runtime.db, job.id).progress['marker'])
        self.cloud.run_jobs()
        ended = db_jobs.get(self.cloud.runtime.db, job.id)
        self.assertEqual('success', ended.state, ended.error)
        self.assertEqual(44, ended.result['resources']['servers']['total'])

    def test_pod_fails_once_and_adoption_succeeds(self):
        self.third.cinder.faults.add(Status(503, path='/volumes/detail', times=1))
        answer = self.cloud.api.post(f'/pods/{self.cloud.pod_ids["Pod3"]}/adopt')
        self.cloud.run_jobs()
        ended = db_jobs.get(self.cloud.runtime.db, answer['job']['id'])
        self.assertEqual('success', ended.state, ended.error)
        self.assertEqual(35, ended.result['resources']['volumes']['new'])

    def test_cancelled_adoption_does_not_run(self):
        answer = self.cloud.api.post(f'/pods/{self.cloud.pod_ids["Pod3"]}/adopt')
        answer = self.cloud.api.post(f'/jobs/{answer["job"]["id"]}/cancel')
        self.assertEqual('cancelled', answer['job']['state'])
        self.assertEqual([], [job for job in self.cloud.run_jobs() if job.type == 'adopt_pod'])


class TestRequests(AdoptionCase):
    def test_invalid_body_is_refused_with_422_and_unknown_pod_with_404(self):
        pod_id = self.register()
        path = f'/pods/{pod_id}/adopt'
        for body, words in (({'dry_run': 'yes'}, 'adopt.dry_run'), ({'force': True}, 'force')):
            answer = self.cloud.api.post(path, body)
            self.assertEqual(422, answer.status, answer.text)
            self.assertIn(words, answer.text)
        self.assertEqual(400, self.cloud.api.post(path, body=b'[1]').status)
        self.assertEqual(404, self.cloud.api.post('/pods/nope/adopt').status)

    def test_top_region_cannot_be_adopted(self):
        top = self.cloud.api.post('/pods', {'pod': {'pod_name': 'RegionOne'}})['pod']
        self.assertEqual(422, self.cloud.api.post(f'/pods/{top["pod_id"]}/adopt').status)

    def test_adoption_is_refused_to_members_and_readers(self):
        path = f'/pods/{self.register()}/adopt'
        for user in ('demo', 'reader'):
            self.assertEqual(403, self.cloud.api.post(path, as_=user).status)
        self.assertEqual([], self.jobs())


KEY = 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDx8nkQv/zgGgB4rMYmIf+6A4l6Rr+o/6lHBQdW5aYd44bd8JttDCE/F/pNRr0lRE+PiqSPO8nDPHw0010JeMH9gYgnnFlyY3/OcJ02RhIPyyxYpv9FhY+2YiUkpwFOcLImyrxEsYXpD/0d3ac30bNH6Sw9JD9UZHYcpSxsIbECHw== one'  # noqa: E501
OTHER_KEY = KEY.replace('AAAAgQDx8nk', 'AAAAgQDx8nm')


class TestUsers(AdoptionCase):
    def adopted_at(self):
        """Let the job bring the pod to the desired state, and return when it did."""
        pod_id = self.cloud.pod_ids['Pod3']
        self.cloud.runtime.jobs.submit(job_types.SYNC_POD, pod_id, {'pod_id': pod_id})
        self.cloud.run_jobs()
        return db_pods.get(self.cloud.runtime.db, pod_id).adopted_at

    def test_keystone_gives_no_users_and_pod_joins_when_it_does(self):
        """Without the users nobody knows whose keys to look for."""
        self.direct.post('/os-keypairs', {'keypair': {'name': 'theirs', 'public_key': KEY}}, as_='demo')
        keystone = self.cloud.lab.keystone
        self.cloud.register_pod('Pod3', 'az3')
        for fault in (Status(503, path='/v3/users$'), BalancerAnswers('html', 200, path='/v3/users$')):
            keystone.faults.add(fault)
            self.assertIsNone(self.adopted_at(), fault)
            keystone.faults.clear()
        self.assertIsNotNone(self.adopted_at())
        self.assertIn('theirs', self.cloud.nova.get('/os-keypairs').text)
