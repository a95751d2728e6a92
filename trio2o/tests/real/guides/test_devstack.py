# SPDX-License-Identifier: Apache-2.0
"""The DevStack plug-in, phase by phase, on two nodes whose own services are the pods of the lab.

``trio2o/tests/devstack`` replaces DevStack: it calls the phases in DevStack's order, with functions of
the same names. Everything the plug-in reaches through them is real: Keystone's catalog, the configuration
files of Nova, Cinder and Neutron, which restart with what the plug-in wrote, uWSGI and the database. The nodes
are stacked under other regions, so that those of the lab do not change. The first is stacked twice,
the second time with tls-proxy.
"""

import configparser
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from trio2o.lab.ports import free_ports
from trio2o.lab.real import seed
from trio2o.tests.fixtures import clients
from trio2o.tests.fixtures.real import Client, connect, real_lab
from trio2o.tests.fixtures.waiting import wait_until

TOP = pathlib.Path(__file__).resolve().parents[4]
SUBSTITUTE = TOP / 'trio2o' / 'tests' / 'devstack' / 'devstack.sh'
REGION = 'DevOne'
PODS = {'DevPod1': 'Pod1', 'DevPod2': 'Pod2'}
#: Value in the samples -> value in this test.
PLACES = {
    'RegionOne': REGION,
    'Pod1': 'DevPod1',
    'Pod2': 'DevPod2',
    '192.0.2.11': '127.0.0.1',
    '192.0.2.12': '127.0.0.2',
}
#: (section, option) with the region of a look-up -> the type of the endpoint, and whether each pod has its own.
LOOK_UPS = {
    'nova': {
        ('placement', 'region_name'): ('placement', True),
        ('cinder', 'os_region_name'): ('volumev3', True),
        ('neutron', 'region_name'): ('network', False),
        ('glance', 'region_name'): ('image', False),
    },
    'cinder': {('nova', 'region_name'): ('compute', True)},
}


def public(urls):
    """The endpoints that DevStack's get_or_create_endpoint creates for URLs."""
    return {(kind, 'public'): url for kind, url in urls.items()}


class Node:
    """One DevStack node, with a folder of its own."""

    def __init__(self, lab, folder, sample, region, settings=()):
        self.lab = lab
        self.state = folder
        self.region = region
        self.pod = PODS[region]
        self.is_stacked = False
        self.local_conf = folder / 'local.conf'
        text = (TOP / 'devstack' / sample).read_text()
        for name, here in PLACES.items():
            text = text.replace(name, here)
        folder.mkdir()
        self.local_conf.write_text('\n'.join([text, *settings, '']))

    def service(self, kind, shared=False):
        return self.lab.topology.service(kind if shared else f'{self.pod}.{kind}')

    @property
    def own_urls(self):
        """The URLs of this node's own Nova, Placement and Cinder."""
        volume = self.service('cinder').url + '/v3'
        return {
            'compute': self.service('nova').url + '/v2.1',
            'placement': self.service('placement').url,
            'volumev3': volume,
            'block-storage': volume,
        }

    @property
    def legacy_urls(self):
        """The URL of an endpoint that DevStack also creates, and no pod uses."""
        return {'compute_legacy': self.service('nova').url + '/v2/$(project_id)s'}

    @property
    def shared_urls(self):
        topology = self.lab.topology
        return {
            'identity': topology.auth_url,
            'image': self.service('glance', shared=True).url,
            'network': self.service('neutron', shared=True).url,
        }

    def add(self, line):
        """Add a line to local.conf."""
        with open(self.local_conf, 'a') as file:
            file.write(f'{line}\n')

    def run(self, command):
        topology = self.lab.topology
        urls = {**self.shared_urls, **self.own_urls, **self.legacy_urls}
        self.is_stacked = self.is_stacked or command == 'stack'
        environment = {
            **os.environ,
            'SUBSTITUTE_STATE': str(self.state),
            'SUBSTITUTE_BIN': str(pathlib.Path(sys.executable).parent),
            'SUBSTITUTE_OPENSTACK': f'{clients.programs()}/openstack',
            'SUBSTITUTE_DATABASE': os.environ.get('TRIO2O_TEST_MYSQL', '').split('?')[0],
            'SUBSTITUTE_TRANSPORT': os.environ.get('TRIO2O_TEST_RABBITMQ', 'fake://'),
            'SUBSTITUTE_KEYSTONE': topology.auth_url,
            'SUBSTITUTE_PASSWORD': topology.password,
            'SUBSTITUTE_POD': self.pod,
            'SUBSTITUTE_URLS': ' '.join(f'{kind}={url}' for kind, url in urls.items()),
            'SUBSTITUTE_LOG': str(self.lab.state_dir / 'log' / f'devstack.{self.region}'),
            'SUBSTITUTE_NEUTRON_CONF': str(topology.config_file(self.service('neutron', shared=True))),
            'SUBSTITUTE_NOVA_CONF': str(topology.config_file(self.service('nova'))),
            'SUBSTITUTE_CINDER_CONF': str(topology.config_file(self.service('cinder'))),
            'TRIO2O_LAB': str(self.lab.state_dir),
        }
        log = self.log_of('devstack')
        with open(log, 'a') as out:
            done = subprocess.run(
                [SUBSTITUTE, command, self.local_conf],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        if done.returncode:
            raise AssertionError(f'{command} of {self.region} failed: see {log}')
        self.is_stacked = command == 'stack'

    def log_of(self, service):
        return self.lab.state_dir / 'log' / f'devstack.{self.region}.{service}.log'

    @property
    def processes(self):
        return sorted(path.stem for path in (self.state / 'run').glob('*.pid'))


class TestDevStack(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.lab = real_lab()
        self.lab.start()
        folder = pathlib.Path(tempfile.mkdtemp(prefix='devstack-'))
        self.addCleanup(shutil.rmtree, folder)
        self.keystone = seed.admin_client(self.lab.topology)
        gateway = self.lab.topology.gateway
        settings = [
            f'TRIO2O_CONF_DIR={folder}/etc',
            f'TRIO2O_API_PORT={gateway.admin_port}',
            f'TRIO2O_CINDER_APIGW_PORT={gateway.volume_port}',
            f'TRIO2O_NOVA_APIGW_PORT={gateway.compute_port}',
        ]
        names = ('TRIO2O_API_PORT_INT', 'TRIO2O_CINDER_APIGW_PORT_INT', 'TRIO2O_NOVA_APIGW_PORT_INT')
        settings += [f'{name}={port}' for name, port in zip(names, free_ports(len(names)), strict=True)]
        self.conf_dir = folder / 'etc'
        self.first = Node(self.lab, folder / 'node_1', 'local.conf.node_1', 'DevPod1', settings)
        self.second = Node(self.lab, folder / 'node_2', 'local.conf.node_2', 'DevPod2', settings)
        self.addCleanup(self.forget_resources)
        self.keep_files()
        self.addCleanup(self.forget_regions)
        self.addCleanup(self.stop_nodes)

    # What is there

    def keep_files(self):
        topology = self.lab.topology
        services = [topology.service('neutron')]
        services += [topology.service(f'{pod}.{kind}') for pod in PODS.values() for kind in ('nova', 'cinder')]
        kept = {service.name: topology.config_file(service).read_text() for service in services}

        def put_back():
            changed = [
                service for service in services if topology.config_file(service).read_text() != kept[service.name]
            ]
            for service in changed:
                topology.config_file(service).write_text(kept[service.name])
            names = [service.name for service in changed]
            self.lab.stop(names)
            self.lab.start(names)

        self.addCleanup(put_back)

    def stop_nodes(self):
        for node in (self.second, self.first):
            if node.is_stacked:
                node.run('clean')

    def forget_resources(self):
        """Delete servers and volumes directly in the pods, because no gateway runs any more."""
        for pod in PODS.values():
            tenant, admin = connect(self.lab, 'demo', pod), connect(self.lab, 'admin', pod)
            servers = [server for server in tenant.list_servers() if server.name.startswith('dev-')]
            for server in servers:
                tenant.delete_server(server.id, wait=True)
            for volume in tenant.list_volumes():
                if volume.name == 'dev-volume':
                    tenant.delete_volume(volume.id, wait=True)
            admin.delete_flavor('cirros256')

    def forget_regions(self):
        base = self.lab.topology.auth_url
        seed.forget_regions(self.lab.topology, [REGION, *PODS])
        for service in self.services():
            if service['type'] == 'compute_legacy':
                self.keystone.call('DELETE', f'{base}/services/{service["id"]}')
        # The plug-in removes its account and its service, which the lab also uses.
        seed.seed_keystone(self.lab.topology)

    def show(self, region, kind, interface, url):
        base = self.lab.topology.auth_url
        self.keystone.ensure(f'{base}/regions', 'region', {'id': region}, match=('id',))
        service = next(s for s in self.services() if s['type'] == kind)
        wanted = {'service_id': service['id'], 'region_id': region, 'interface': interface, 'url': url}
        self.keystone.call('POST', f'{base}/endpoints', {'endpoint': wanted})

    def services(self):
        return self.keystone.call('GET', f'{self.lab.topology.auth_url}/services')['services']

    def regions(self):
        return [r['id'] for r in self.keystone.call('GET', f'{self.lab.topology.auth_url}/regions')['regions']]

    def users(self):
        return [u['name'] for u in self.keystone.call('GET', f'{self.lab.topology.auth_url}/users')['users']]

    def endpoints(self, region):
        answer = self.keystone.call('GET', f'{self.lab.topology.auth_url}/endpoints?region_id={region}')
        return answer['endpoints']

    def catalog(self, region):
        """{(type, interface): URL}."""
        kinds = {service['id']: service['type'] for service in self.services()}
        return {
            (kinds[endpoint['service_id']], endpoint['interface']): endpoint['url']
            for endpoint in self.endpoints(region)
        }

    # What has to be

    def check_catalog(self, scheme='http'):
        gateway = self.lab.topology.gateway
        moved = {
            ('compute', 'public'): gateway.compute_url,
            ('volumev3', 'public'): gateway.volume_url,
            ('volumev3', 'internal'): gateway.volume_url,
            ('block-storage', 'public'): gateway.volume_url,
            ('trio2o', 'public'): gateway.admin_url,
        }
        moved = {which: url.replace('http:', f'{scheme}:') for which, url in moved.items()}
        self.assertEqual({**public(self.first.shared_urls), **moved}, self.catalog(REGION))

    def check_look_ups(self, node):
        """Check that services look up their own or shared endpoints, never those of the gateway."""
        expected = {**node.own_urls, **node.shared_urls}
        for kind, look_ups in LOOK_UPS.items():
            conf = configparser.RawConfigParser(strict=False)
            conf.read(self.lab.topology.config_file(node.service(kind)))
            for (section, option), (wanted, is_own) in look_ups.items():
                region = conf.get(section, option)
                self.assertEqual(node.region if is_own else REGION, region, (kind, section))
                self.assertEqual(expected[wanted], self.catalog(region)[wanted, 'public'], (kind, section))

    def check_neutron(self):
        """Check that Neutron sends events to the gateway."""
        conf = configparser.RawConfigParser(strict=False)
        conf.read(self.lab.topology.config_file(self.lab.topology.service('neutron')))
        self.assertEqual(REGION, conf.get('nova', 'region_name'))

    def check_tempest(self):
        conf = configparser.RawConfigParser()
        conf.read(self.first.state / 'tempest.conf')
        self.assertEqual('True', conf.get('service_available', 'trio2o'))
        self.assertEqual(REGION, conf.get('compute', 'region'))
        self.assertEqual('DevPod1', conf.get('placement', 'region'))

    def boot(self, cloud, name, zone):
        shown = cloud.openstack(
            *('server', 'create', name, '--flavor', 'cirros256', '--image', 'cirros', '--network', 'private'),
            *('--availability-zone', zone, '--wait'),
        )
        self.assertEqual('ACTIVE', shown['status'])
        return shown['id'], lambda: cloud.do('server', 'delete', '--wait', shown['id'])

    def events(self):
        return self.first.log_of('t-ngw').read_text().count('os-server-external-events')

    def test_stack_unstack_and_clean_configure_two_nodes(self):
        # An administrator created an internal endpoint of Cinder. DevStack creates the others.
        internal = self.first.own_urls['volumev3'].replace('127.0.0.1', 'localhost')
        self.show(REGION, 'volumev3', 'internal', internal)
        own = {**self.first.own_urls, **self.first.legacy_urls}
        before = {**public({**self.first.shared_urls, **own}), ('volumev3', 'internal'): internal}

        self.first.run('stack')
        self.check_catalog()
        self.check_look_ups(self.first)
        self.check_neutron()
        self.check_tempest()
        self.assertEqual(['t-cgw', 't-ngw', 't-oapi', 't-ojob'], self.first.processes)
        cloud = Client(self.lab, 'demo', REGION)
        one, remove_one = self.boot(cloud, 'dev-one', 'az1')
        self.assertEqual(one, Client(self.lab, 'demo', 'Pod1').openstack('server', 'show', one)['id'])

        # The first node created the endpoints of Keystone that the second one needs.
        self.assertEqual(public(self.second.shared_urls), self.catalog('DevPod2'))
        self.second.run('stack')
        self.check_catalog()
        self.check_look_ups(self.second)
        self.assertEqual([], self.second.processes)
        two, remove_two = self.boot(cloud, 'dev-two', 'az2')
        self.assertEqual(two, Client(self.lab, 'demo', 'Pod2').openstack('server', 'show', two)['id'])
        # An attachment uses Nova's look-up of Cinder and Cinder's of Nova.
        cloud.openstack('volume', 'create', 'dev-volume', '--size', '1', '--availability-zone', 'az1')
        cloud.until('volume', 'dev-volume', 'available')
        cloud.do('server', 'add', 'volume', one, 'dev-volume')
        cloud.until('volume', 'dev-volume', 'in-use')
        wait_until(self.events, 30, "Neutron's events do not reach the gateway", 0.5)
        remove_one()
        remove_two()
        cloud.until('volume', 'dev-volume', 'available')
        cloud.do('volume', 'delete', 'dev-volume')

        # unstack removes the pod.
        operator = Client(self.lab, 'admin', REGION)
        self.assertIn('DevPod2', operator.run('openstack', 'trio2o', 'pod', 'list'))
        self.second.run('unstack')
        self.assertNotIn('DevPod2', operator.run('openstack', 'trio2o', 'pod', 'list'))

        # Stack again after unstack.sh.
        self.first.run('unstack')
        self.assertEqual([], self.first.processes)
        self.assertEqual(before, self.catalog(REGION))
        self.assertNotIn('DevPod1', self.regions())
        self.assertNotIn('trio2o', self.users())

        # With tls-proxy. The links in answers must have https, or clients cannot follow them.
        self.first.add('enable_service tls-proxy')
        # Each worker loads the gateway. The first time, there were two of each.
        self.first.add('API_WORKERS=1')
        self.first.run('stack')
        self.check_catalog('https')
        trusting = Client(self.lab, 'demo', REGION, OS_CACERT=str(self.first.state / 'ca-bundle.pem'))
        _, remove = self.boot(trusting, 'dev-again', 'az1')
        remove()

        self.first.run('clean')
        self.assertEqual(before, self.catalog(REGION))
        self.assertFalse(self.conf_dir.exists())
        for folder in ('data', 'apache', 'run'):
            self.assertEqual([], list((self.first.state / folder).iterdir()))
