# SPDX-License-Identifier: Apache-2.0
"""The Compute API over real pods, as the stock clients and openstacksdk use it.

One of the pods may be of another release (``tools/with-real-pods`` installs it where it can).
"""

import unittest

import fixtures

from trio2o.lab.real.topology import OWN_PYTHON
from trio2o.tests.fixtures.real import Client, RealGateway, connect, real_lab, temporary_name
from trio2o.tests.fixtures.waiting import wait_until

PODS = ('Pod1', 'Pod2')
ZONES = ('az1', 'az2')
SECONDS = 90
#: A microversion that no pod supports.
NEVER = '2.999'
#: Nova's newest microversion by its major release.
NEWEST = {33: '2.103', 34: '2.104'}


class Stage(fixtures.Fixture):
    """Shared by all tests: the gateway, openstacksdk as a member and as an admin, a server in each zone."""

    def _setUp(self):
        self.lab = real_lab()
        self.lab.start()
        self.gateway = self.useFixture(RealGateway(self.lab))
        self.cloud, self.operator = connect(self.lab), connect(self.lab, 'admin')
        self.pods = {name: connect(self.lab, 'admin', name) for name in PODS}
        self.stock, self.admin = Client(self.lab), Client(self.lab, 'admin')
        self.image = self.cloud.image.find_image('cirros').id
        self.flavor = self.operator.compute.create_flavor(
            name=temporary_name('compute'), ram=128, vcpus=1, disk=1, is_public=True
        )
        # Other tests may leave servers.
        self.operator.compute.update_quota_set(self.cloud.current_project_id, instances=100, cores=200)
        self.servers = {zone: self.boot(zone) for zone in ZONES}
        for server in self.servers.values():
            self.cloud.compute.wait_for_server(server, wait=SECONDS, interval=0.5)
            self.addCleanup(self.cloud.compute.delete_server, server)

    def boot(self, zone=None, **more):
        where = {'availability_zone': zone} if zone else {}
        return self.cloud.compute.create_server(
            name=temporary_name(f'compute-{zone}'),
            flavor_id=self.flavor.id,
            image_id=self.image,
            # A port is more than half of the work in Nova and Neutron.
            networks='none',
            **where,
            **more,
        )


STAGE = Stage()


def setUpModule():
    STAGE.setUp()


def tearDownModule():
    STAGE.cleanUp()


class ComputeTest(unittest.TestCase):
    def setUp(self):
        super().setUp()
        for name in ('lab', 'gateway', 'cloud', 'operator', 'pods', 'stock', 'admin', 'image', 'flavor', 'servers'):
            setattr(self, name, getattr(STAGE, name))
        self.boot = STAGE.boot
        self.names = {zone: server.name for zone, server in self.servers.items()}


class TestLists(ComputeTest):
    def test_servers_are_sorted_paged_and_filtered(self):
        rows = self.admin.openstack('server', 'list', '--all-projects', '--long', '--sort-column', 'Name')
        names = [row['Name'] for row in rows]
        self.assertEqual(sorted(names), names)
        zone_of = {row['Name']: row['Availability Zone'] for row in rows}
        for zone, name in self.names.items():
            self.assertEqual(zone, zone_of[name])
        whole = [server.id for server in self.cloud.compute.servers()]
        self.assertEqual(whole, [server.id for server in self.cloud.compute.servers(limit=1)])
        paged, marker = [], []
        while page := self.stock.openstack('server', 'list', '--limit', '1', *marker):
            paged += [row['ID'] for row in page]
            marker = ['--marker', paged[-1]]
        self.assertEqual(whole, paged)
        # Nova sorts servers of one second by ascending id, in both directions.
        times = {server.id: server.created_at for server in self.cloud.compute.servers()}
        self.assertEqual(
            sorted(whole, key=lambda id: (times[id], id)),
            [server.id for server in self.cloud.compute.servers(sort_key='created_at', sort_dir='asc')],
        )
        for zone, server in self.servers.items():
            found = [one.id for one in self.operator.compute.servers(all_projects=True, availability_zone=zone)]
            self.assertIn(server.id, found)
            self.assertNotIn(next(self.servers[other].id for other in ZONES if other != zone), found)

    def test_nova_client_lists_both_pods(self):
        printed = self.admin.run('nova', 'list', '--all-tenants', '--sort', 'display_name:asc')
        for name in self.names.values():
            self.assertIn(name, printed)
        self.assertIn('nova-compute', self.admin.run('nova', 'service-list'))
        self.assertIn('az2', self.admin.run('nova', 'availability-zone-list'))
        self.assertIn('ag_Pod1', self.admin.run('nova', 'aggregate-list'))
        self.assertIn(self.flavor.name, self.stock.run('nova', 'flavor-list'))

    def test_hypervisors_of_both_pods_are_listed_and_shown(self):
        there = {name: [one.name for one in pod.compute.hypervisors()] for name, pod in self.pods.items()}
        self.assertEqual(
            sorted(name for names in there.values() for name in names),
            sorted(one.name for one in self.operator.compute.hypervisors()),
        )
        rows = self.admin.openstack('hypervisor', 'list', '--long')
        self.assertEqual(sum(map(len, there.values())), len(rows))
        for one in self.operator.compute.hypervisors():
            self.assertEqual(one.name, self.operator.compute.get_hypervisor(one.id).name)

    def test_service_is_disabled_in_its_pod(self):
        rows = self.admin.openstack('compute', 'service', 'list', '--service', 'nova-compute')
        self.assertEqual(set(ZONES), {row['Zone'] for row in rows})
        host = next(row['Host'] for row in rows if row['Zone'] == 'az2')
        if [row['Host'] for row in rows].count(host) > 1:
            host = f'Pod2@{host}'
        self.admin.do('compute', 'service', 'set', '--disable', '--disable-reason', 'test', host, 'nova-compute')
        try:
            (service,) = self.pods['Pod2'].compute.services(binary='nova-compute')
            self.assertEqual(('disabled', 'test'), (service.status, service.disabled_reason))
            (other,) = self.pods['Pod1'].compute.services(binary='nova-compute')
            self.assertEqual('enabled', other.status)
        finally:
            self.admin.do('compute', 'service', 'set', '--enable', host, 'nova-compute')

    def test_aggregate_moves_to_pod_of_its_host(self):
        rows = self.admin.openstack('aggregate', 'list')
        self.assertLessEqual(
            {('ag_Pod1', 'az1'), ('ag_Pod2', 'az2')}, {(r['Name'], r['Availability Zone']) for r in rows}
        )
        name = temporary_name('compute')
        self.admin.openstack('aggregate', 'create', '--property', 'colour=blue', name)
        try:
            rows = self.admin.openstack('compute', 'service', 'list', '--service', 'nova-compute')
            host = next(row['Host'] for row in rows if row['Zone'] == 'az2')
            shown = self.admin.openstack('aggregate', 'add', 'host', name, host)
            self.assertEqual([host], shown['hosts'])
            (there,) = [one for one in self.pods['Pod2'].compute.aggregates() if one.name == name]
            self.assertEqual(([host], 'blue'), (there.hosts, there.metadata['colour']))
            self.admin.openstack('aggregate', 'remove', 'host', name, host)
        finally:
            self.admin.do('aggregate', 'delete', name)
        self.assertNotIn(name, [one.name for one in self.pods['Pod2'].compute.aggregates()])

    def test_usage_is_sum_over_pods(self):
        rows = self.admin.openstack('usage', 'list')
        projects = {row['Project'] for row in rows}
        self.assertTrue(projects & {'demo', self.cloud.current_project_id}, rows)
        used = sum(pod.compute.get_usage(self.cloud.current_project_id).total_hours or 0 for pod in self.pods.values())
        through = self.operator.compute.get_usage(self.cloud.current_project_id).total_hours
        self.assertAlmostEqual(used, through, delta=0.1)
        self.assertEqual(
            len(list(self.cloud.compute.servers())), self.cloud.compute.get_limits().absolute.instances_used
        )


class TestReplication(ComputeTest):
    def test_keypair_of_user_is_listed_by_admin_and_replicated(self):
        name = temporary_name('compute')
        user_id = self.cloud.current_user_id
        self.stock.run('openstack', 'keypair', 'create', name)
        try:
            rows = self.admin.openstack('keypair', 'list', '--user', 'demo')
            self.assertIn(name, [row['Name'] for row in rows])
            prints = {pod.compute.get_keypair(name, user_id=user_id).fingerprint for pod in self.pods.values()}
            self.assertEqual({self.cloud.compute.get_keypair(name).fingerprint}, prints)
            server = self.boot('az2', key_name=name)
            self.cloud.compute.wait_for_server(server, wait=SECONDS, interval=0.5)
            self.cloud.compute.delete_server(server)
        finally:
            self.stock.do('keypair', 'delete', name)
        self.assertNotIn(name, [pair.name for pair in self.pods['Pod2'].compute.keypairs(user_id=user_id)])

    def test_flavor_specs_and_access_are_replicated(self):
        name = temporary_name('compute')
        self.admin.openstack('flavor', 'create', name, '--ram', '64', '--disk', '1', '--vcpus', '1', '--private')
        self.admin.do('flavor', 'set', '--property', 'hw:cpu_policy=shared', '--project', 'demo', name)
        for cloud in (self.operator, *self.pods.values()):
            flavor = cloud.compute.find_flavor(name, get_extra_specs=True)
            self.assertEqual({'hw:cpu_policy': 'shared'}, flavor.extra_specs)
            access = [row['tenant_id'] for row in cloud.compute.get_flavor_access(flavor)]
            self.assertEqual([self.cloud.current_project_id], access)
        self.assertIn(name, [row['Name'] for row in self.stock.openstack('flavor', 'list', '--all')])
        self.admin.do('flavor', 'delete', name)
        self.assertEqual([None] * 2, [pod.compute.find_flavor(name) for pod in self.pods.values()])

    def test_limit_is_set_and_shown(self):
        project_id = self.cloud.current_project_id
        before = self.operator.compute.get_quota_set(project_id).server_groups
        self.admin.do('quota', 'set', '--server-groups', str(before + 3), 'demo')
        try:
            rows = {row['Resource']: row['Limit'] for row in self.admin.openstack('quota', 'show', 'demo')}
            self.assertEqual(before + 3, rows['server-groups' if 'server-groups' in rows else 'server_groups'])
            self.assertEqual(before + 3, self.cloud.compute.get_limits().absolute.server_groups)
        finally:
            self.operator.compute.update_quota_set(project_id, server_groups=before)


class TestServerGroups(ComputeTest):
    def test_group_has_servers_in_both_zones(self):
        name = temporary_name('compute')
        group = self.stock.openstack('server', 'group', 'create', '--policy', 'anti-affinity', name)
        servers = [self.boot(zone, scheduler_hints={'group': group['id']}) for zone in ZONES]
        for server in servers:
            self.cloud.compute.wait_for_server(server, wait=SECONDS, interval=0.5)
        wanted = sorted(server.id for server in servers)
        (row,) = [row for row in self.stock.openstack('server', 'group', 'list', '--long') if row['Name'] == name]
        self.assertEqual(group['id'], row['ID'])
        shown = self.cloud.compute.get_server_group(group['id'])
        self.assertEqual((name, 'anti-affinity', wanted), (shown.name, shown.policy, sorted(shown.member_ids)))
        for server in servers:
            answer = self.cloud.compute.get(f'/servers/{server.id}', microversion='2.71').json()
            self.assertEqual([group['id']], answer['server']['server_groups'])
        for server in servers:
            self.cloud.compute.delete_server(server)
        for server in servers:
            self.cloud.compute.wait_for_delete(server, wait=SECONDS)
        self.stock.do('server', 'group', 'delete', name)
        for pod in self.pods.values():
            self.assertNotIn(name, [one.name for one in pod.compute.server_groups(all_projects=True)])


class TestCreates(ComputeTest):
    def test_server_boots_in_zone_of_its_volume(self):
        volume = self.cloud.block_storage.create_volume(
            name=temporary_name('compute'), size=1, image_id=self.image, availability_zone='az2'
        )
        self.cloud.block_storage.wait_for_status(volume, 'available', interval=0.5, wait=SECONDS)
        name = temporary_name('compute')
        self.stock.openstack(
            'server', 'create', name, '--flavor', self.flavor.name, '--volume', volume.id, '--network', 'private',
            '--wait',
        )  # fmt: skip
        shown = self.stock.openstack('server', 'show', name)
        self.assertEqual('az2', shown['OS-EXT-AZ:availability_zone'])
        self.stock.do('server', 'delete', '--wait', name)
        self.cloud.block_storage.delete_volume(volume)

    def test_servers_of_min_count_are_created_in_zone(self):
        name = temporary_name('compute')
        self.stock.openstack(
            'server', 'create', name, '--flavor', self.flavor.name, '--image', 'cirros', '--network', 'private',
            '--availability-zone', 'az2', '--min', '2', '--max', '2', '--wait',
        )  # fmt: skip
        servers = list(self.cloud.compute.servers(name=name))
        self.assertEqual(2, len(servers))
        for server in servers:
            self.assertEqual('az2', self.cloud.compute.get_server(server.id).availability_zone)
            self.cloud.compute.delete_server(server)

    def test_server_is_created_on_named_host(self):
        rows = self.admin.openstack('compute', 'service', 'list', '--service', 'nova-compute')
        host = next(row['Host'] for row in rows if row['Zone'] == 'az2')
        name = temporary_name('compute')
        shown = self.admin.openstack(
            'server', 'create', name, '--flavor', self.flavor.name, '--image', 'cirros', '--nic', 'none',
            '--host', host if [row['Host'] for row in rows].count(host) == 1 else f'Pod2@{host}', '--wait',
        )  # fmt: skip
        self.assertEqual('az2', shown['OS-EXT-AZ:availability_zone'])
        self.admin.do('server', 'delete', '--wait', name)


class TestUnreachablePod(ComputeTest):
    def test_server_of_stopped_pod_is_shown_as_unknown(self):
        server = self.servers['az2']
        data = self.lab.disk('root', server.id, 'Pod2').read()
        self.admin.openstack('compute', 'service', 'list')
        self.lab.stop(['Pod2.nova'])
        try:
            # A new process has nothing in memory.
            self.gateway.stop()
            self.gateway.start()
            shown = self.cloud.compute.get(f'/servers/{server.id}', microversion='2.69').json()['server']
            self.assertEqual(
                ('UNKNOWN', 'az2', self.cloud.current_project_id),
                (shown['status'], shown['OS-EXT-AZ:availability_zone'], shown['tenant_id']),
            )
            printed = self.stock.openstack('--os-compute-api-version', '2.69', 'server', 'show', server.id)
            self.assertEqual(('UNKNOWN', 'UNKNOWN'), (printed['status'], printed['image']))
            self.assertIn('UNKNOWN', self.stock.run('nova', '--os-compute-api-version', '2.72', 'show', server.id))
            answer = self.cloud.compute.get(f'/servers/{server.id}', microversion='2.68')
            self.assertEqual(503, answer.status_code)
            self.assertIn('az2', answer.json()['serviceUnavailable']['message'])
            services = self.operator.compute.get('/os-services', microversion='2.69').json()['services']
            self.assertIn('UNKNOWN', [row['status'] for row in services if row['binary'] == 'nova-compute'])
        finally:
            self.lab.start(['Pod2'])
        wait_until(
            lambda: self.cloud.compute.get_server(server.id).status == 'ACTIVE', SECONDS, 'Pod2 is not back', 0.3
        )
        self.assertEqual(data, self.lab.disk('root', server.id, 'Pod2').read())


class TestDisks(ComputeTest):
    def test_root_disk_is_kept_replaced_and_uploaded(self):
        compute, images, name = self.cloud.compute, self.cloud.image, temporary_name('bytes')

        def wait(status='ACTIVE', where=compute):
            where.wait_for_server(server, status=status, wait=SECONDS, interval=0.3)

        def root():
            return self.lab.disk('root', server.id, 'Pod1')

        image = images.create_image(name, data=b'known', container='bare', disk_format='raw')
        self.addCleanup(images.delete_image, image)
        server = compute.create_server(
            name=name, flavor_id=self.flavor.id, image_id=image.id, networks='none', availability_zone='az1'
        )
        self.addCleanup(compute.delete_server, server)
        wait()
        self.assertEqual(b'known', root().read())
        root().write(b'+1')
        copy = compute.create_server_image(server, name, wait=True)
        self.addCleanup(images.delete_image, copy)
        self.assertEqual(b'known+1', images.download_image(copy).content)
        self.assertEqual(root().checksum(), images.get_image(copy).hash_value)

        for end, data in ((compute.revert_server_resize, b'known+1'), (compute.confirm_server_resize, b'known+1+2')):
            self.operator.compute.migrate_server(server)
            wait('VERIFY_RESIZE')
            self.assertEqual(b'known+1', root().read())
            root().write(b'+2')
            end(server)
            wait()
            self.assertEqual(data, root().read())
        compute.shelve_server(server)
        wait('SHELVED_OFFLOADED')
        self.assertRaises(KeyError, root)
        compute.unshelve_server(server)
        wait()
        self.assertEqual(b'known+1+2', root().read())
        compute.rebuild_server(server, image.id)
        wait()
        self.assertEqual(b'known', root().read())
        booted = compute.create_server(
            name=name,
            flavor_id=self.flavor.id,
            networks='none',
            availability_zone='az1',
            block_device_mapping=[
                {
                    'source_type': 'image',
                    'destination_type': 'volume',
                    'uuid': copy.id,
                    'boot_index': 0,
                    'volume_size': 1,
                    'delete_on_termination': True,
                }
            ],
        )
        self.addCleanup(compute.delete_server, booted)
        booted = compute.wait_for_server(booted, wait=SECONDS, interval=0.3)
        self.assertRaises(KeyError, self.lab.disk, 'root', booted.id, 'Pod1')
        self.assertEqual(b'known+1', self.lab.disk('volume', booted.attached_volumes[0].id, 'Pod1').read())


class TestReleases(ComputeTest):
    """A pod with a Nova that is one release older."""

    def setUp(self):
        super().setUp()
        pods = {pod.name: pod.python for pod in self.lab.topology.pods}
        if pods['Pod2'] == OWN_PYTHON:
            self.skipTest('no pod is of another release: see tools/with-real-pods')

    def document(self, connection):
        return connection.session.get(connection.compute.get_endpoint(), authenticated=True).json()['version']

    def test_version_range_is_common_to_both_pods(self):
        newer, older = (self.document(self.pods[name]) for name in PODS)
        self.assertEqual((NEWEST[34], NEWEST[33]), (newer['version'], older['version']))
        ours = self.document(self.cloud)
        self.assertEqual((NEWEST[33], '2.1'), (ours['version'], ours['min_version']))

    def test_latest_is_newest_common_version(self):
        for zone, server in self.servers.items():
            answer = self.cloud.compute.get(f'/servers/{server.id}', microversion='latest')
            self.assertEqual(
                (200, f'compute {NEWEST[33]}'), (answer.status_code, answer.headers['OpenStack-API-Version'])
            )
            self.assertEqual(zone, answer.json()['server']['OS-EXT-AZ:availability_zone'])
        answer = self.cloud.compute.get('/servers/detail', microversion='latest')
        self.assertEqual(200, answer.status_code, answer.text)
        self.assertEqual(f'compute {NEWEST[33]}', answer.headers['OpenStack-API-Version'])
        self.assertLessEqual(
            {one.id for one in self.servers.values()}, {one['id'] for one in answer.json()['servers']}
        )

    def test_newer_version_is_refused_as_by_older_nova(self):
        for version in (NEWEST[34], NEVER):
            ours, older = (
                connection.compute.get('/servers', microversion=version, headers={'Accept': 'application/json'})
                for connection in (self.cloud, self.pods['Pod2'])
            )
            self.assertEqual((406, 406), (ours.status_code, older.status_code))
            self.assertEqual(older.json(), ours.json())
            for name in ('OpenStack-API-Version', 'X-OpenStack-Nova-API-Version', 'Vary'):
                self.assertEqual(older.headers.get(name), ours.headers.get(name), name)
        said = self.stock.fails('--os-compute-api-version', NEWEST[34], 'server', 'list')
        self.assertIn(NEWEST[33], said)

    def test_actions_work_in_both_zones_with_latest(self):
        for zone in ZONES:
            server = self.boot(zone)
            self.cloud.compute.wait_for_server(server, wait=SECONDS, interval=0.5)
            for action in ({'os-stop': None}, {'os-start': None}, {'reboot': {'type': 'HARD'}}):
                answer = self.cloud.compute.post(f'/servers/{server.id}/action', json=action, microversion='latest')
                self.assertEqual(202, answer.status_code, answer.text)
                wanted = 'SHUTOFF' if 'os-stop' in action else 'ACTIVE'
                self.cloud.compute.wait_for_server(server, status=wanted, wait=SECONDS, interval=0.5)
            self.cloud.compute.delete_server(server)
            self.cloud.compute.wait_for_delete(server, wait=SECONDS)
