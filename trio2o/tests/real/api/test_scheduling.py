# SPDX-License-Identifier: Apache-2.0
"""Two real pods in one zone: the first becomes full, and the second has an affinity tag.

The tests make the first one small with the allocation ratio of its host in Placement.
"""

import unittest

from trio2o.lab.real import rest
from trio2o.lab.real.seed import admin_client
from trio2o.tests.fixtures.real import WITHOUT_PORT, Client, RealGateway, connect, real_lab, temporary_name
from trio2o.tests.fixtures.waiting import wait_until

ZONE = 'az1'
#: Usage is read each second.
OPTIONS = '[xjob]\nusage_interval = 1\nscan_interval = 0.5\n'


class TwoPodsInAZone(unittest.TestCase):
    options = OPTIONS

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = real_lab()
        cls.lab.start()
        gateway = RealGateway(cls.lab, register=False, more=cls.options)
        gateway.setUp()
        cls.addClassCleanup(gateway.cleanUp)
        cls.operator = admin_client(cls.lab.topology)
        cls.url = cls.lab.topology.gateway.admin_url
        cls.ids = {}
        for name in ('Pod1', 'Pod2'):
            body = {'pod': {'pod_name': name, 'az_name': ZONE, 'pod_az_name': 'nova'}}
            cls.ids[name] = cls.operator.call('POST', f'{cls.url}/pods', body)['pod']['pod_id']
        cls.cloud = Client(cls.lab)
        cls.admin = Client(cls.lab, 'admin')
        cls.pods = {name: connect(cls.lab, 'demo', name) for name in cls.ids}
        cls.project = cls.cloud.openstack('token', 'issue')['project_id']
        cls.flavor = temporary_name('sched')
        cls.admin.openstack('flavor', 'create', cls.flavor, '--ram', '64', '--disk', '1', '--vcpus', '1')
        placement = cls.lab.topology.service('Pod1.placement').url
        (provider,) = cls.operator.call('GET', f'{placement}/resource_providers')['resource_providers']
        cls.provider = f'{placement}/resource_providers/{provider["uuid"]}'
        cls.ratio = cls.vcpus()[0]['allocation_ratio']
        cls.addClassCleanup(cls.set_ratio, cls.ratio)

    @classmethod
    def vcpus(cls):
        """Pod1's inventory of VCPU, its generation, and the used amount."""
        document = cls.operator.call('GET', f'{cls.provider}/inventories')
        used = cls.operator.call('GET', f'{cls.provider}/usages')['usages'].get('VCPU', 0)
        return document['inventories']['VCPU'], document['resource_provider_generation'], used

    @classmethod
    def set_ratio(cls, ratio):
        inventory, generation, _used = cls.vcpus()
        body = {**inventory, 'allocation_ratio': ratio, 'resource_provider_generation': generation}
        cls.operator.call('PUT', f'{cls.provider}/inventories/VCPU', body)

    def leave(self, vcpus):
        """Leave this many VCPUs free in Pod1, and wait until the gateway has read it."""
        inventory, _generation, used = self.vcpus()
        self.set_ratio((used + vcpus + 0.5) / inventory['total'])
        self.until(lambda: self.usage('Pod1')['VCPU']['free'] == vcpus)

    def usage(self, pod):
        (found,) = self.operator.call('GET', f'{self.url}/usages?service=compute&pod_name={pod}')['usages'] or [None]
        return found['resources'] if found else {'VCPU': {'free': None}}

    def until(self, is_so, seconds=60):
        wait_until(is_so, seconds, 'the pods did not get into the expected state', 0.5)

    def set_pod(self, name, **fields):
        self.operator.call('PUT', f'{self.url}/pods/{self.ids[name]}', {'pod': fields})

    def history(self):
        names = {pod_id: name for name, pod_id in self.ids.items()}
        found = self.operator.call('GET', f'{self.url}/bindings?history=true&tenant_id={self.project}')['pod_bindings']
        return [(names[each['pod_id']], each['affinity_group'], each['ended_at'] is None) for each in found]

    def unbind(self):
        for binding in self.operator.call('GET', f'{self.url}/bindings')['pod_bindings']:
            self.operator.call('DELETE', f'{self.url}/bindings/{binding["id"]}')

    def command(self, name, flavor):
        return *WITHOUT_PORT, name, '--flavor', flavor, '--image', 'cirros', '--availability-zone', ZONE

    def boot(self, flavor=None):
        """Boot a server to ACTIVE. :returns: its name and the pod it is in"""
        name = temporary_name('sched')
        made = self.cloud.openstack(*self.command(name, flavor or self.flavor), '--wait')
        self.assertEqual('ACTIVE', made['status'])
        self.addCleanup(self.cloud.do, 'server', 'delete', '--wait', made['id'])
        return name, self.pod_of('server', name)

    def pod_of(self, what, name):
        (pod,) = [pod for pod in self.pods if name in [each.name for each in self.there(pod, what)]]
        return pod

    def there(self, pod, what):
        """The servers or volumes of the project in a pod."""
        cloud = self.pods[pod]
        return list(cloud.compute.servers() if what == 'server' else cloud.block_storage.volumes())


class RealSchedulingTest(TwoPodsInAZone):
    def test_full_pod_and_project_moves_to_next_pod(self):
        self.unbind()
        before = len(self.history())
        self.leave(2)
        self.assertEqual(['Pod1', 'Pod1'], [self.boot()[1] for _ in range(2)])
        server, pod = self.boot()
        self.assertEqual('Pod2', pod)
        self.assertEqual([('Pod1', '', False), ('Pod2', '', True)], self.history()[before:])
        volume = temporary_name('sched')
        self.cloud.openstack('volume', 'create', volume, '--availability-zone', ZONE, '--size', '1')
        self.cloud.until('volume', volume, 'available')
        self.addCleanup(self.cloud.do, 'volume', 'delete', volume)
        self.assertEqual('Pod2', self.pod_of('volume', volume))
        self.cloud.do('server', 'add', 'volume', server, volume)
        self.cloud.until('volume', volume, 'in-use')
        self.cloud.do('server', 'remove', 'volume', server, volume)
        self.cloud.until('volume', volume, 'available')
        # Both pods are full: the create is refused, and no server in ERROR is left.
        self.set_pod('Pod2', headroom={'vcpu': '100%'})
        self.addCleanup(self.set_pod, 'Pod2', headroom=None)
        said = self.cloud.fails(*self.command(temporary_name('sched'), self.flavor))
        self.assertIn(f'No part of availability zone {ZONE} can take a new server now', said)

    def test_pod_with_tag_gets_only_servers_of_matching_flavor(self):
        self.unbind()
        self.leave(5)
        self.set_pod('Pod2', resource_affinity_tag={'gpu': 'yes'})
        self.addCleanup(self.set_pod, 'Pod2', resource_affinity_tag=None)
        gpu, tpu = temporary_name('gpu'), temporary_name('tpu')
        for name, spec in ((gpu, 'trio2o:gpu=yes'), (tpu, 'trio2o:tpu=yes')):
            sizes = ('--ram', '64', '--disk', '1', '--vcpus', '1')
            self.admin.openstack('flavor', 'create', name, *sizes, '--property', spec)
            self.addCleanup(self.admin.do, 'flavor', 'delete', name)
        self.assertEqual('Pod1', self.boot()[1])
        self.assertEqual('Pod2', self.boot(gpu)[1])
        self.assertEqual('Pod1', self.boot()[1])
        self.leave(0)
        self.assertIn(ZONE, self.cloud.fails(*self.command(temporary_name('sched'), self.flavor)))
        self.assertEqual('Pod2', self.boot(gpu)[1])
        said = self.cloud.fails(*self.command(temporary_name('sched'), tpu))
        self.assertIn('No valid host was found', said)
        self.assertIn(ZONE, said)

    def test_usages_equal_reports_of_pods(self):
        self.leave(7)
        inventory, _generation, used = self.vcpus()
        shown = self.usage('Pod1')['VCPU']
        self.assertEqual((used, used + 7, 7), (shown['used'], shown['capacity'], shown['free']))
        volumes = self.operator.call('GET', f'{self.url}/usages?service=volume')['usages']
        self.assertEqual({'Pod1', 'Pod2'}, {each['pod_name'] for each in volumes})
        self.assertIn('gigabytes', volumes[0]['resources'])


class RealRescheduleTest(TwoPodsInAZone):
    """The usage of the full first pod is unknown: it accepts a server, and finds no valid host for it."""

    options = """
[scheduler]
reschedule_on_no_valid_host = true

[xjob]
usage_interval = 0
scan_interval = 0.5
"""

    def test_server_is_rescheduled_to_the_other_pod(self):
        topology = self.lab.topology
        tenant = rest.Client(topology.auth_url, 'demo', topology.password, 'demo')
        url = topology.gateway.compute_url
        inventory, _generation, used = self.vcpus()
        # One of the two requested VCPUs is free, because Placement accepts no inventory without any.
        self.set_ratio((used + 1.5) / inventory['total'])
        image = self.cloud.openstack('image', 'show', 'cirros')['id']
        network = self.cloud.openstack('network', 'show', 'private')['id']
        name = temporary_name('late')
        self.admin.openstack('flavor', 'create', name, '--id', name, '--ram', '64', '--disk', '1', '--vcpus', '2')
        self.addCleanup(self.admin.do, 'flavor', 'delete', name)
        body = {
            'name': name,
            'imageRef': image,
            'flavorRef': name,
            'availability_zone': ZONE,
            'networks': [{'uuid': network}],
        }
        top_id = tenant.call('POST', f'{url}/servers', {'server': body})['server']['id']
        self.addCleanup(self.cloud.do, 'server', 'delete', '--wait', top_id)
        server = f'{url}/servers/{top_id}'
        self.until(lambda: tenant.call('GET', server)['server']['status'] == 'ACTIVE', 240)
        # The failed server is deleted once the other exists.
        self.until(lambda: name not in [each.name for each in self.there('Pod1', 'server')], 120)
        self.assertEqual('Pod2', self.pod_of('server', name))
        (there,) = [each for each in self.there('Pod2', 'server') if each.name == name]
        self.assertNotEqual(top_id, there.id)
        (listed,) = [row for row in self.cloud.openstack('server', 'list') if row['Name'] == name]
        self.assertEqual(top_id, listed['ID'])
        volume = temporary_name('late')
        self.cloud.openstack('volume', 'create', volume, '--availability-zone', ZONE, '--size', '1')
        self.cloud.until('volume', volume, 'available')
        self.addCleanup(self.cloud.do, 'volume', 'delete', volume)
        self.cloud.do('server', 'add', 'volume', top_id, volume)
        shown = self.cloud.show_when('volume', volume, 'in-use')
        self.assertEqual([top_id], [each['server_id'] for each in shown['attachments']])
        self.cloud.do('server', 'remove', 'volume', top_id, volume)
        self.cloud.until('volume', volume, 'available')
        self.cloud.do('server', 'stop', top_id)
        self.cloud.until('server', top_id, 'SHUTOFF')
