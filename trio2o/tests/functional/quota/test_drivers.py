# SPDX-License-Identifier: Apache-2.0
"""The quota drivers: own tables, Keystone's project tree, Keystone's unified limits, unlimited."""

from trio2o.lab.emulated.faults import DropAfter
from trio2o.quota.claims import UnknownDriver, load_driver
from trio2o.tests.fixtures.conf import ConfFixture
from trio2o.tests.functional.quota.base import QuotaCase


class LimitsCase(QuotaCase):
    def set(self, project, status=200, service='nova', **limits):
        client = getattr(self.cloud, service)
        answer = client.put(f'/os-quota-sets/{project}', {'quota_set': limits}, as_='admin')
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def shown(self, service='nova', as_='admin', project=None, path='', **query):
        client = getattr(self.cloud, service)
        answer = client.get(f'/os-quota-sets/{project or self.project}{path}', as_=as_, query=query)
        self.assertEqual(200, answer.status, answer.text)
        return answer['quota_set']


class TestDbDriver(LimitsCase):
    limits = {'instances': 4, 'volumes': 4}

    def test_limit_of_user_overrides_project_and_class(self):
        body = {'quota_class_set': {'instances': 2}}
        self.assertEqual(200, self.cloud.nova.put('/os-quota-class-sets/default', body, as_='admin').status)
        self.assertEqual(2, self.shown()['instances'])
        self.set(self.project, instances=3)
        self.assertEqual(3, self.shown()['instances'])
        user = self.cloud.lab.user_id('demo')
        path = f'/os-quota-sets/{self.project}?user_id={user}'
        answer = self.cloud.nova.put(path, {'quota_set': {'instances': 1}}, as_='admin')
        self.assertEqual((200, 1), (answer.status, answer.json.get('quota_set', {}).get('instances')), answer.text)
        answer = self.cloud.nova.put(path, {'quota_set': {'instances': 4}}, as_='admin')
        self.assertEqual((400, 'Quota limit 4 for instances must be less than or equal to 3.'), (400, answer.fault))
        self.server()
        answer = self.boot(status=403)
        self.assertEqual('Quota exceeded for instances: Requested 1, but already used 1 of 1 instances', answer.fault)
        detail = self.shown(path='/detail', user_id=user)['instances']
        self.assertEqual({'limit': 1, 'in_use': 1, 'reserved': 0}, detail)
        self.assertEqual(202, self.cloud.nova.delete(path, as_='admin').status)
        self.server()
        self.assertEqual(202, self.cloud.nova.delete(f'/os-quota-sets/{self.project}', as_='admin').status)
        self.boot(status=403)

    def test_limits_and_usage_cover_all_pods(self):
        self.set(self.project, cores=10)
        self.set(self.project, service='cinder', gigabytes=50)
        self.server(zone='az1')
        self.server(zone='az2')
        self.volume(size=3, zone='az2')
        found = self.cloud.nova.get('/limits')['limits']['absolute']
        wanted = {'maxTotalInstances': 4, 'maxTotalCores': 10, 'totalInstancesUsed': 2, 'totalCoresUsed': 4}
        self.assertEqual(wanted, {name: found[name] for name in wanted})
        found = self.cloud.cinder.get('/limits')['limits']['absolute']
        wanted = {'maxTotalVolumes': 4, 'maxTotalVolumeGigabytes': 50, 'totalVolumesUsed': 1, 'totalGigabytesUsed': 3}
        self.assertEqual(wanted, {name: found[name] for name in wanted})
        shown = self.shown('cinder', as_='demo', usage='True')
        self.assertEqual({'limit': 50, 'in_use': 3, 'reserved': 0}, shown['gigabytes'])
        self.assertEqual({'limit': -1, 'in_use': 3, 'reserved': 0}, shown['gigabytes___DEFAULT__'])
        answer = self.cloud.nova.get('/limits', as_='admin', query={'tenant_id': self.project})
        self.assertEqual(2, answer['limits']['absolute']['totalInstancesUsed'])

    def test_limit_below_usage_is_refused_by_cinder(self):
        self.volume(size=3)
        answer = self.set(self.project, 400, 'cinder', gigabytes=2)
        self.assertEqual(
            'Quota gigabytes limit must be equal or greater than existing resources. Current usage is 3 and the '
            'requested limit is 2.',
            answer.fault,
        )
        self.assertEqual(-1, self.shown('cinder')['gigabytes'])

    def test_limit_below_usage_needs_force_in_nova(self):
        for _ in range(2):
            self.server()
        answer = self.set(self.project, 400, instances=1)
        self.assertEqual(
            'Quota limit 1 for instances must be greater than or equal to already used and reserved 2.', answer.fault
        )
        for force in (False, 'false'):
            self.set(self.project, 400, instances=1, force=force)
        self.assertEqual(4, self.shown()['instances'])
        for force in (True, 'True'):
            self.set(self.project, instances=1, force=force)
        self.assertEqual({'limit': 1, 'in_use': 2, 'reserved': 0}, self.shown(path='/detail')['instances'])
        self.boot(status=403)
        self.set(self.project, instances=2)
        self.boot(status=403)

    def test_refusal_of_tenant_contains_no_usage(self):
        self.server()
        self.volume(size=3)
        for client, name in ((self.cloud.nova, 'instances'), (self.cloud.cinder, 'gigabytes')):
            refused = []
            for limit in (0, 100):
                for as_ in ('demo', 'alt'):
                    for query in ('', f'?user_id={self.cloud.lab.user_id("demo")}'):
                        path = f'/os-quota-sets/{self.project}{query}'
                        answer = client.put(path, {'quota_set': {name: limit}}, as_=as_)
                        self.assertEqual(403, answer.status, answer.text)
                        refused.append(answer.text)
            self.assertEqual(1, len(set(refused)), refused)
        self.assertEqual(4, self.shown()['instances'])

    def test_limits_of_users_fit_limit_of_project_unless_forced(self):
        self.set(self.project, instances=3)
        user, other = self.cloud.lab.user_id('demo'), self.cloud.lab.user_id('reader')
        self.set(f'{self.project}?user_id={user}', instances=2)
        # The sum of the limits of users must fit into that of the project, unless it is forced.
        answer = self.set(f'{self.project}?user_id={other}', 400, instances=2)
        self.assertEqual('Quota limit 2 for instances must be less than or equal to 1.', answer.fault)
        self.set(f'{self.project}?user_id={other}', instances=2, force=True)
        self.server()
        self.server()
        self.boot(status=403)
        self.boot(as_=('admin', 'demo'))
        # The project's limit holds for all of them together.
        answer = self.boot(status=403, as_=('admin', 'demo'))
        self.assertEqual('Quota exceeded for instances: Requested 1, but already used 3 of 3 instances', answer.fault)
        self.assertEqual({'limit': 2, 'in_use': 2, 'reserved': 0}, self.detail(user))
        self.assertEqual({'limit': 2, 'in_use': 0, 'reserved': 0}, self.detail(other))
        self.assertEqual({'limit': 3, 'in_use': 3, 'reserved': 0}, self.detail())
        for who in (user, other):
            self.assertEqual(2, self.shown(user_id=who)['instances'])

    def test_deleted_limits_return_to_default(self):
        user = self.cloud.lab.user_id('demo')
        own = f'/os-quota-sets/{self.project}'
        self.set(self.project, instances=3, cores=9, server_group_members=2, metadata_items=5)
        self.set(f'{self.project}?user_id={user}', instances=1)
        self.assertEqual(202, self.cloud.nova.delete(f'{own}?user_id={user}', as_='admin').status)
        self.assertEqual((3, 3), (self.shown(user_id=user)['instances'], self.shown()['instances']))
        self.set(f'{self.project}?user_id={user}', instances=1)
        # Deleting the limits of the project deletes those of its users.
        self.assertEqual(202, self.cloud.nova.delete(own, as_='admin').status)
        for shown in (self.shown(), self.shown(user_id=user)):
            wanted = {'instances': 4, 'cores': -1, 'server_group_members': -1, 'metadata_items': 128}
            self.assertEqual(wanted, {name: shown[name] for name in wanted})
        self.server()
        self.server()
        for as_ in ('demo', 'alt', 'reader'):
            self.assertEqual(403, self.cloud.nova.delete(own, as_=as_).status)
        # Deleting limits in Nova keeps those in Cinder.
        self.set(self.project, service='cinder', volumes=1)
        self.assertEqual(202, self.cloud.nova.delete(own, as_='admin').status)
        self.assertEqual(1, self.shown('cinder')['volumes'])
        self.assertEqual(200, self.cloud.cinder.delete(own, as_='admin').status)
        self.assertEqual(4, self.shown('cinder')['volumes'])

    def test_detail_shows_claims_as_reserved(self):
        self.cloud.pod('Pod1').nova.faults.add(DropAfter(times=1, method='POST', path='/servers'))
        self.boot(status=504, zone='az1')
        self.assertEqual({'limit': 4, 'in_use': 0, 'reserved': 1}, self.detail())
        self.assertEqual({'limit': 4, 'in_use': 0, 'reserved': 1}, self.detail(self.cloud.lab.user_id('demo')))

    def detail(self, user=None):
        return self.shown(path='/detail', **({'user_id': user} if user else {}))['instances']

    def test_invalid_limit_is_refused_with_400(self):
        for given in ({'instances': 'many'}, {'instances': -2}, {'no_such_thing': 1}, {'cores': 1 << 40}):
            self.set(self.project, 400, **given)
        self.assertEqual(4, self.shown()['instances'])

    def test_limits_are_refused_to_members_and_other_projects(self):
        for as_ in ('demo', 'reader'):
            answer = self.cloud.nova.put(f'/os-quota-sets/{self.project}', {'quota_set': {'instances': 9}}, as_=as_)
            self.assertEqual(403, answer.status)
        self.assertEqual(403, self.cloud.nova.get(f'/os-quota-sets/{self.project}', as_='alt').status)
        self.assertEqual(4, self.shown()['instances'])


class TestUnlimitedDriver(LimitsCase):
    options = {'quota.driver': 'unlimited'}

    def test_unlimited_driver_counts_and_refuses_nothing(self):
        for _ in range(3):
            self.server()
        self.assertUsed(instances=3)
        self.assertEqual(-1, self.shown()['instances'])
        answer = self.set(self.project, 400, instances=1)
        self.assertIn('cannot be set this way', answer.fault)
        self.set(self.project, metadata_items=5)


class TestNestedDriver(LimitsCase):
    options = {'quota.driver': 'nested', 'quota.tree_seconds': 0.0}

    def setUp(self):
        super().setUp()
        keystone = self.cloud.lab.keystone
        self.parent = keystone.add_project('parent')
        self.alt = self.cloud.project_id('alt')
        keystone.parents |= {self.project: self.parent, self.alt: self.parent}

    def test_limit_of_parent_applies_to_all_children(self):
        self.set(self.parent, instances=3)
        self.server()
        self.server(as_='alt')
        self.server(as_='alt', zone='az2')
        for who in ('demo', 'alt'):
            answer = self.boot(status=403, as_=who)
            self.assertEqual(
                'Quota exceeded for instances: Requested 1, but already used 3 of 3 instances', answer.fault
            )
        self.set(self.parent, instances=4)
        self.server()

    def test_limit_of_child_applies_to_that_child_only(self):
        self.set(self.parent, instances=3)
        self.set(self.project, instances=1)
        self.server()
        self.boot(status=403)
        self.server(as_='alt')

    def test_default_limit_of_parent_does_not_apply_to_children(self):
        self.set(self.parent, cores=100)
        for who in ('demo', 'alt', 'demo', 'alt'):
            self.server(as_=who)

    def test_limit_below_usage_of_tree_needs_force(self):
        for who in ('demo', 'alt', 'demo'):
            self.server(as_=who)
        answer = self.set(self.parent, 400, instances=2)
        self.assertIn('must be greater than or equal to 3, which is what project', answer.fault)
        self.set(self.parent, instances=2, force=True)

    def test_limit_of_child_above_limit_of_parent_is_refused_with_400(self):
        self.set(self.parent, instances=3)
        for limit in (4, -1):
            answer = self.set(self.project, 400, instances=limit)
            self.assertIn(f'Quota limit {limit} for instances must be less than or equal to 3', answer.fault)
        self.set(self.project, instances=2)
        answer = self.set(self.parent, 400, instances=1)
        self.assertIn('must be greater than or equal to 2', answer.fault)

    def test_limit_of_parent_applies_to_gigabytes(self):
        self.set(self.parent, service='cinder', gigabytes=10)
        self.volume(size=6)
        answer = self.make_volume(status=413, size=5, as_='alt')
        self.assertIn('Requested 5G, quota is 10G and 6G has been consumed.', answer.fault)


class TestUnifiedDriver(LimitsCase):
    options = {'quota.driver': 'unified', 'quota.tree_seconds': 0.0}

    def setUp(self):
        super().setUp()
        self.keystone = self.cloud.lab.keystone
        for service, limits in (
            ('compute', {'servers': 5, 'class:VCPU': 6, 'class:MEMORY_MB': 10000, 'server_groups': 1}),
            ('block-storage', {'volumes': 2, 'gigabytes': 10}),
        ):
            for name, limit in limits.items():
                self.register(service, name, limit)

    def service_id(self, service):
        return next(row.service_id for row in self.keystone.endpoints if row.service_type == service)

    def register(self, service, name, limit):
        self.keystone.registered_limits.append(
            {
                'id': f'r-{name}',
                'resource_name': name,
                'default_limit': limit,
                'service_id': self.service_id(service),
                'region_id': 'RegionOne',
            }
        )

    def limit(self, project, service, name, limit):
        self.keystone.limits.append(
            {
                'id': f'l-{name}',
                'resource_name': name,
                'resource_limit': limit,
                'project_id': project,
                'service_id': self.service_id(service),
                'region_id': 'RegionOne',
            }
        )

    def test_registered_limit_applies_to_all_pods(self):
        for zone in ('az1', 'az2', 'az1'):
            self.server(zone=zone)
        answer = self.boot(status=403)
        self.assertEqual('Quota exceeded for cores: Requested 2, but already used 6 of 6 cores', answer.fault)
        self.assertEqual(6, self.cloud.nova.get('/limits')['limits']['absolute']['maxTotalCores'])

    def test_limit_of_project_overrides_registered_limit(self):
        self.limit(self.project, 'compute', 'servers', 1)
        self.server()
        self.boot(status=403)
        self.server(as_='alt')
        self.server(as_='alt')

    def test_registered_limit_of_group_members_is_enforced(self):
        self.register('compute', 'server_group_members', 1)
        self.cloud.runtime.quota.driver._cache.clear()
        body = {'server_group': {'name': 'g', 'policies': ['anti-affinity']}}
        group = self.cloud.nova.post('/os-server-groups', body)['server_group']['id']
        statuses = []
        for zone in ('az1', 'az2'):
            server = {
                'name': 's',
                'flavorRef': 'f1',
                'imageRef': self.cloud.lab.image['id'],
                'availability_zone': zone,
            }
            hints = {'group': group}
            answer = self.cloud.nova.post('/servers', {'server': server, 'os:scheduler_hints': hints})
            statuses.append((answer.status, answer.fault if answer.status != 202 else ''))
        self.assertEqual([(202, ''), (403, 'Quota exceeded, too many servers in group')], statuses)

    def test_resource_without_registered_limit_is_refused(self):
        volume = self.volume(size=2)
        answer = self.cloud.cinder.post('/snapshots', {'snapshot': {'volume_id': volume}})
        self.assertEqual((413, True), (answer.status, 'allowed (0) exceeded' in answer.fault))

    def test_limit_cannot_be_set_through_gateway(self):
        answer = self.set(self.project, 400, instances=1)
        self.assertIn('cannot be set this way', answer.fault)

    def test_limit_of_parent_applies_to_children_in_strict_two_level(self):
        self.keystone.limit_model = 'strict-two-level'
        self.keystone.parents[self.project] = parent = self.keystone.add_project('parent')
        self.keystone.parents[self.cloud.project_id('alt')] = parent
        self.limit(parent, 'compute', 'servers', 2)
        self.server()
        self.server(as_='alt')
        self.boot(status=403)
        self.boot(status=403, as_='alt')

    def test_limits_cannot_be_read_and_create_is_503(self):
        self.cloud.runtime.quota.driver._cache.clear()
        del self.keystone.registered_limits[:]
        self.keystone.endpoints = [row for row in self.keystone.endpoints if row.region != 'RegionOne']
        answer = self.boot(status=503)
        self.assertIn('Limits cannot be read from Keystone now', answer.fault)


class TestAdminApi(QuotaCase):
    def test_recount_is_requested_and_counts_resources_of_pods(self):
        self.cloud.lab.add_servers('Pod1', 'demo', 2)
        path = f'/projects/{self.project}/recount'
        answer = self.cloud.api.post(path)
        self.assertEqual((202, 'recount_quota'), (answer.status, answer.json.get('job', {}).get('type')), answer.text)
        self.cloud.run_jobs()
        self.assertUsed(instances=2)
        self.assertEqual(403, self.cloud.api.post(path, as_='reader').status)
        self.assertEqual(422, self.cloud.api.post(path, {'project': 1}).status)

    def test_renamed_type_keeps_its_limits(self):
        made = self.cloud.cinder.post('/types', {'volume_type': {'name': 'gold'}}, as_='admin')['volume_type']
        body = {'quota_set': {'gigabytes_gold': 5}}
        self.assertEqual(200, self.cloud.cinder.put(f'/os-quota-sets/{self.project}', body, as_='admin').status)
        body = {'volume_type': {'name': 'silver'}}
        self.assertEqual(200, self.cloud.cinder.put(f'/types/{made["id"]}', body, as_='admin').status)
        self.make_volume(status=413, size=6, volume_type='silver')


class TestPlugins(QuotaCase):
    def test_unknown_driver_is_refused_and_error_names_installed_ones(self):
        conf = self.useFixture(ConfFixture(quota={'driver': 'no-such'})).conf
        self.assertRaisesRegex(
            UnknownDriver, 'there is no no-such; installed are db', load_driver, conf, self.db, None
        )
