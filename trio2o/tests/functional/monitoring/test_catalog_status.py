# SPDX-License-Identifier: Apache-2.0
"""The check of Keystone's catalog: as a function of many catalogs, and as ``trio2o-status catalog``."""

import json

import testtools

from trio2o.lab.emulated import faults
from trio2o.lab.emulated.topology import Cloud
from trio2o.pods.catalog_check import problems_of
from trio2o.pods.endpoints import COMPUTE, VOLUME
from trio2o.pods.health_check import Level
from trio2o.tests.fixtures import launch
from trio2o.tests.functional.processes.base import CommandsTestCase

TOP = 'RegionOne'
KEYSTONE = 'https://keystone.test/v3'
PROJECT = '6f2c8a'
INTERNAL = ('internal', 'admin')


def top(*without, keystone=KEYSTONE):
    """The rows of the top region, as the installation guide creates them."""
    rows = {
        'compute': 'http://gateway.test:19998/v2.1',
        'block-storage': 'http://gateway.test:19997/v3',
        'volumev3': 'http://gateway.test:19997/v3',
        'identity': keystone,
        'image': 'https://glance.test',
        'network': 'https://neutron.test',
    }
    return [(TOP, kind, url) for kind, url in rows.items() if kind not in without]


def pod(name='Pod1', keystone=None, interfaces=('public', *INTERNAL), **others):
    rows = {
        'compute': f'http://{name}.test:8774/v2.1',
        'block-storage': f'http://{name}.test:8776/v3',
        'volumev3': f'http://{name}.test:8776/v3',
        'placement': f'http://{name}.test:8778',
        **others,
    }
    if keystone:
        rows['identity'] = keystone
    return [(name, kind, url, interfaces) for kind, url in rows.items()]


class CatalogTestCase(testtools.TestCase):
    """Fills the catalog of an emulated Keystone with rows."""

    def setUp(self):
        super().setUp()
        self.keystone = Cloud(pods=0).keystone

    def problems(self, *rows, **options):
        self.keystone.endpoints.clear()
        for region, kind, url, *interfaces in rows:
            self.keystone.add_endpoint(region, kind, url, '', *interfaces)
        return problems_of(self.keystone.catalog(), TOP, PROJECT, **options)

    def assert_only(self, level, words, *rows, **options):
        """There is one problem, and its text and what to do contain the words."""
        (problem,) = self.problems(*rows, **options)
        self.assertEqual(level, problem.level)
        for word in words:
            self.assertIn(word, f'{problem.text} {problem.todo}')


class TestEndpointsOfTopRegion(CatalogTestCase):
    def test_catalog_of_installation_guide_has_no_problem(self):
        for rows in (
            top(),
            [*top(), *pod('Pod1'), *pod('Pod2')],
            [*top(), *pod('Pod1', KEYSTONE), *pod('Pod2', KEYSTONE)],
            # A project in the URL, and the shared services in the regions of the pods.
            [*top(), *pod(volumev3=f'http://Pod1.test:8776/v3/{PROJECT}', image='https://glance.test/')],
            [*pod(interfaces=INTERNAL), *top()],
        ):
            self.assertEqual([], self.problems(*rows))

    def test_missing_endpoint_is_named_with_its_command(self):
        for kind, level, url in (
            ('compute', Level.CRITICAL, 'http://GATEWAY:19998/v2.1'),
            ('volumev3', Level.WARNING, 'http://GATEWAY:19997/v3'),
            ('block-storage', Level.WARNING, 'http://GATEWAY:19997/v3'),
            ('identity', Level.WARNING, 'https://KEYSTONE/v3'),
            ('image', Level.WARNING, 'https://GLANCE'),
            ('network', Level.WARNING, 'https://NEUTRON'),
        ):
            command = f'openstack endpoint create --region {TOP} {kind} public {url}'
            self.assert_only(level, [command], *top(kind), *pod())
            internal = (TOP, kind, dict(row[1:3] for row in top())[kind], INTERNAL)
            self.assert_only(level, [command], *top(kind), internal, *pod())

    def test_missing_block_storage_is_critical(self):
        found = self.problems(*top('volumev3', 'block-storage'), *pod())
        self.assertEqual([Level.CRITICAL] * 2, [problem.level for problem in found])

    def test_unknown_top_region_is_critical(self):
        self.assert_only(Level.CRITICAL, [TOP, 'region_name'], *pod())

    def test_endpoint_of_pod_in_top_region_is_critical(self):
        for kind in ('compute', 'volumev3', 'block-storage'):
            url = dict(row[1:3] for row in pod())[kind]
            for spelling in (url, f'{url}/', f'{url}/{PROJECT}'):
                self.assert_only(
                    Level.CRITICAL,
                    ['Pod1', 'openstack endpoint set --url http://GATEWAY:'],
                    *top(kind),
                    (TOP, kind, spelling, ('public',)),
                    *pod(),
                )
        # Clients that use the internal interface get into the pod as well.
        url = dict(row[1:3] for row in pod())['compute']
        self.assert_only(Level.CRITICAL, ['internal compute'], *top(), (TOP, 'compute', url, ('internal',)), *pod())

    def test_second_endpoint_in_top_region_is_warning(self):
        other = 'http://old.test:8774/v2.1'
        self.assert_only(
            Level.WARNING, [other, 'openstack endpoint delete'], *top(), (TOP, 'compute', other, ('public',)), *pod()
        )

    def test_other_endpoint_than_public_endpoint_is_warning(self):
        gateways = {COMPUTE: 'http://gateway.test:19998/', VOLUME: 'http://gateway.test:19997'}
        self.assertEqual([], self.problems(*top(), *pod(), gateways=gateways))
        self.assert_only(
            Level.WARNING,
            ['public_endpoint', 'https://cloud.test:8774', 'openstack endpoint set'],
            *top(),
            *pod(),
            gateways={**gateways, COMPUTE: 'https://cloud.test:8774'},
        )


class TestClientsWithoutRegion(CatalogTestCase):
    def test_pod_before_top_region_is_warning(self):
        found = self.problems(*pod('Pod2'), *top(), *pod('Pod1'))
        self.assertEqual([Level.WARNING] * 3, [problem.level for problem in found])
        self.assertEqual(
            ['compute', 'block-storage', 'volumev3'], [problem.text.split('the ')[1].split()[0] for problem in found]
        )
        for problem in found:
            self.assertIn('Pod2', problem.text)
            self.assertIn(f'OS_REGION_NAME={TOP}', problem.todo)
            self.assertIn('openstack endpoint set --interface internal', problem.todo)

    def test_shared_service_of_pod_is_warning_if_its_url_differs(self):
        rows = [('Pod1', 'image', 'https://glance.test/'), ('Pod1', 'network', 'https://neutron.pod1.test')]
        self.assert_only(Level.WARNING, ['network', 'Pod1'], *rows, *top(), *pod())

    def test_old_type_that_only_pods_have_is_warning(self):
        for kind in ('volumev2', 'volume', 'block-store'):
            url = 'http://Pod1.test:8776/v2'
            self.assert_only(Level.WARNING, [kind, 'the only one'], *top(), *pod(), ('Pod1', kind, url))


class TestHorizon(CatalogTestCase):
    """Horizon takes the region of the first identity endpoint with exactly the URL in its settings."""

    def test_pod_with_other_slash_is_warning(self):
        slash = f'{KEYSTONE}/'
        for ours, theirs in ((KEYSTONE, slash), (slash, KEYSTONE)):
            rows = [*top(keystone=ours), *pod('Pod1'), *pod('Pod2', theirs)]
            self.assert_only(
                Level.WARNING,
                ['the region Pod2', f'"{theirs}"', f'OPENSTACK_KEYSTONE_URL = "{ours}"', 'openstack endpoint delete'],
                *rows,
            )
            # The operator tells which of the two Horizon has.
            self.assertEqual([], self.problems(*rows, keystone_url=ours))
            self.assertEqual(1, len(self.problems(*rows, keystone_url=theirs)))

    def test_pod_with_same_url_is_warning_if_it_is_first(self):
        self.assertEqual([], self.problems(*top(), *pod('Pod1', KEYSTONE)))
        rows = [*top('identity'), *pod('Pod1', KEYSTONE), *pod('Pod2', KEYSTONE), (TOP, 'identity', KEYSTONE)]
        (problem,) = self.problems(*rows)
        self.assertIn('the region Pod1', problem.text)
        # Each endpoint of a pod with this URL would be the next first one.
        deleted = problem.todo.split('openstack endpoint delete ')[1].split()
        ids = {
            endpoint['id']
            for entry in self.keystone.catalog()
            for endpoint in entry['endpoints']
            if entry['type'] == 'identity' and endpoint['region'] != TOP
        }
        self.assertEqual(ids, set(deleted))
        self.assertNotIn('OPENSTACK_KEYSTONE_URL =', problem.todo)

    def test_top_region_without_identity_endpoint_leads_to_pod(self):
        missing, problem = self.problems(*top('identity'), *pod('Pod1', KEYSTONE))
        self.assertIn('no public endpoint of type identity', missing.text)
        self.assertIn('the region Pod1', problem.text)

    def test_all_interfaces_count(self):
        internal = ('Pod1', 'identity', f'{KEYSTONE}/', ('internal',))
        self.assert_only(Level.WARNING, ['the region Pod1'], *top(), *pod(), internal)

    def test_other_keystone_url_leads_to_pod(self):
        rows = [*top(), *pod('Pod1', 'http://10.0.0.1:5000/v3')]
        self.assertEqual([], self.problems(*rows))
        self.assert_only(Level.WARNING, ['the region Pod1'], *rows, keystone_url='http://10.0.0.1:5000/v3')
        # No endpoint has this URL: Horizon uses DEFAULT_SERVICE_REGIONS.
        self.assertEqual([], self.problems(*rows, keystone_url='http://10.0.0.2:5000/v3'))


class TestCatalogStatus(CommandsTestCase):
    """``trio2o-status catalog`` and its exit status."""

    def setUp(self):
        super().setUp()
        self.argument = self.configure()

    def status(self, *args):
        result = launch.run('trio2o-status', self.argument, 'catalog', *args)
        self.assertNotIn('Traceback', result.stderr)
        return result

    def test_problems_are_printed_and_are_the_exit_status(self):
        keystone = self.cloud.keystone
        complete = keystone.endpoints
        keystone.endpoints = [row for row in complete if (row.region, row.service_type) != ('RegionOne', 'network')]
        result = self.status()
        self.assertEqual(1, result.returncode, result.stdout + result.stderr)
        self.assertIn('warning: RegionOne has no public endpoint of type network', result.stdout)
        self.assertIn(
            '\n    openstack endpoint create --region RegionOne network public https://NEUTRON', result.stdout
        )
        keystone.endpoints = complete
        result = self.status()
        self.assertEqual(0, result.returncode, result.stdout + result.stderr)
        self.assertIn('ok: nothing in the catalog sends clients to a pod.', result.stdout)
        (url,) = {row.url for row in keystone.endpoints if (row.region, row.service_type) == ('Pod1', 'compute')}
        keystone.endpoints = [
            row for row in keystone.endpoints if (row.region, row.service_type) != ('RegionOne', 'compute')
        ]
        keystone.add_endpoint('RegionOne', 'compute', url)
        result = self.status('--format', 'json')
        document = json.loads(result.stdout)
        self.assertEqual((2, 'critical'), (result.returncode, document['level']))
        self.assertEqual({'critical'}, {problem['level'] for problem in document['problems']})

    def test_keystone_is_unavailable_and_status_is_3(self):
        self.cloud.keystone.faults.add(faults.Status(503))
        result = self.status('--format', 'json')
        self.assertEqual((3, 'unknown'), (result.returncode, json.loads(result.stdout)['level']))
        self.assertEqual(3, self.status('--nonsense').returncode)
