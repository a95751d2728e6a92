# SPDX-License-Identifier: Apache-2.0
"""A real pod with servers and volumes is adopted, as doc/source/admin/adoption.rst describes.

TRIO2O_TEST_ADOPT is the number of servers and of volumes, 20 by default.
"""

import os
import time
import unittest

from trio2o.tests.fixtures.real import Client, RealGateway, connect, real_lab, temporary_name
from trio2o.tests.fixtures.waiting import wait_until

COUNT = int(os.environ.get('TRIO2O_TEST_ADOPT', '20'))
SECONDS = 120 + 4 * COUNT
NEWEST = '2.90'
XJOB = '[xjob]\nscan_interval = 1\n[pods]\nrefresh_seconds = 1\n'


class Direct:
    """The APIs of the pod itself, without Trio2o, as one user."""

    def __init__(self, lab, user, region):
        self.cloud = connect(lab, user, region)

    def compute(self, method, path, document=None):
        return self.ask(self.cloud.compute, method, path, document, NEWEST)

    def volume(self, method, path, document=None):
        return self.ask(self.cloud.block_storage, method, path, document, None)

    def ask(self, service, method, path, document, version):
        answer = service.request(path, method, json=document, microversion=version, raise_exc=False)
        if answer.status_code >= 400:
            raise AssertionError(f'{method} {path}: {answer.status_code} {answer.text}')
        return answer.json() if answer.content else None


class AdoptionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = real_lab()
        cls.lab.start()
        cls.demo, cls.admin = Direct(cls.lab, 'demo', 'Pod2'), Direct(cls.lab, 'admin', 'Pod2')
        cls.project_id = cls.demo.cloud.current_project_id
        cls.mark = temporary_name('adopted')
        cls.addClassCleanup(cls.clean)
        cls.fill()
        cls.gateway = RealGateway(cls.lab, register=False, more=XJOB)
        cls.gateway.setUp()
        cls.addClassCleanup(cls.gateway.cleanUp)
        cls.operator, cls.tenant = Client(cls.lab, 'admin'), Client(cls.lab, 'demo')
        cls.operator.do('trio2o', 'pod', 'create', 'RegionOne')
        cls.operator.do('trio2o', 'pod', 'create', 'Pod1', '--zone', 'az1', '--pod-zone', 'nova', '--wait')

    @classmethod
    def fill(cls):
        """Create flavors, a type, servers and volumes directly in the pod."""
        for name, kinds in (
            ('compute', ('instances', 'cores', 'ram')),
            ('volume', ('volumes', 'gigabytes', 'snapshots')),
        ):
            body = {'quota_set': dict.fromkeys(kinds, -1)}
            getattr(cls.admin, name)('PUT', f'/os-quota-sets/{cls.project_id}', body)
        cls.flavor = cls.flavor_in(cls.admin, cls.mark, f'{cls.mark}-id', 128)
        # Flavors with the same id and different sizes in both pods.
        cls.clash = f'{cls.mark}-clash'
        cls.flavor_in(cls.admin, cls.clash, cls.clash, 512)
        cls.flavor_in(Direct(cls.lab, 'admin', 'Pod1'), cls.clash, cls.clash, 256)
        cls.type_id = cls.admin.volume('POST', '/types', {'volume_type': {'name': cls.mark}})['volume_type']['id']
        image = cls.demo.cloud.image.find_image('cirros').id
        body = {'name': cls.mark, 'flavorRef': cls.flavor, 'imageRef': image, 'networks': 'none', 'min_count': COUNT}
        cls.demo.compute('POST', '/servers', {'server': body | {'max_count': COUNT}})
        for number in range(COUNT):
            body = {'name': f'{cls.mark}-{number}', 'size': 1, 'volume_type': cls.mark}
            cls.demo.volume('POST', '/volumes', {'volume': body})
        cls.servers = cls.settled(lambda: cls.mine('compute', 'servers'), 'ACTIVE')
        cls.volumes = cls.settled(lambda: cls.mine('volume', 'volumes'), 'available')

    @classmethod
    def flavor_in(cls, pod, name, flavor_id, ram):
        body = {'name': name, 'id': flavor_id, 'ram': ram, 'vcpus': 1, 'disk': 1}
        return pod.compute('POST', '/flavors', {'flavor': body})['flavor']['id']

    @classmethod
    def mine(cls, service, kind):
        """The resources of a kind that ``fill`` created."""
        found = getattr(cls.demo, service)('GET', f'/{kind}/detail?limit=1000')[kind]
        return [each for each in found if each['name'].startswith(cls.mark)]

    @classmethod
    def settled(cls, look, status):
        def find():
            found = look()
            is_settled = len(found) == COUNT and {each['status'] for each in found} == {status}
            return found if is_settled else None

        found = wait_until(find, SECONDS, lambda: f'not {status}: {[each["status"] for each in look()]}', 1)
        return {each['id'] for each in found}

    @classmethod
    def clean(cls):
        """Delete the resources, because other tests use the pods, too."""
        for service, kind in (('compute', 'servers'), ('volume', 'volumes')):
            for each in cls.mine(service, kind):
                getattr(cls.demo, service)('DELETE', f'/{kind}/{each["id"]}')
            wait_until(lambda service=service, kind=kind: not cls.mine(service, kind), SECONDS, f'{kind} stay')
        for pod in (cls.admin, Direct(cls.lab, 'admin', 'Pod1')):
            for each in pod.compute('GET', '/flavors/detail?is_public=None')['flavors']:
                if each['id'].startswith(cls.mark):
                    pod.compute('DELETE', f'/flavors/{each["id"]}')
            for each in pod.volume('GET', '/types?is_public=None')['volume_types']:
                if each['name'] == cls.mark:
                    pod.volume('DELETE', f'/types/{each["id"]}')

    def test_pod_is_adopted_used_and_removed(self):
        self.operator.do(
            'trio2o', 'pod', 'create', 'Pod2', '--zone', 'az2', '--pod-zone', 'nova', '--state', 'maintenance',
            '--reason', 'to be adopted',
        )  # fmt: skip
        self.assertNotIn(self.mark, self.tenant.run('openstack', 'server', 'list'))
        self.check_report(self.report('--dry-run'), 'new')
        begun = time.monotonic()
        self.check_report(self.report('--wait'), 'new')
        print(f'{COUNT} servers and {COUNT} volumes were adopted in {time.monotonic() - begun:.1f} s')
        self.operator.do('trio2o', 'pod', 'set', 'Pod2', '--state', 'enabled')
        wait_until(lambda: self.mark in self.tenant.run('openstack', 'server', 'list'), 60, 'Pod2 is not listed')
        self.check_tenant()
        self.check_quota()
        self.check_conflict()
        self.check_leaving()

    def report(self, *options):
        return self.operator.openstack('trio2o', 'pod', 'adopt', 'Pod2', *options)

    def check_report(self, report, name):
        for kind in ('servers', 'volumes'):
            self.assertGreaterEqual(report['resources'][kind][name], COUNT, report)
        (conflict,) = [row for row in report['conflicts'] if row['id'] == self.clash]
        self.assertIn('ram is 512 and should be 256', conflict['text'])
        self.assertLessEqual({self.mark}, {row['name'] for row in report['new']})

    def check_tenant(self):
        """List and use the adopted resources through RegionOne."""
        rows = self.tenant.openstack('server', 'list', '--long')
        zones = {row['ID']: row['Availability Zone'] for row in rows}
        self.assertEqual({'az2'}, {zones[server_id] for server_id in self.servers})
        self.assertLessEqual(self.volumes, {row['ID'] for row in self.tenant.openstack('volume', 'list')})
        server, volume = sorted(self.servers)[0], sorted(self.volumes)[0]
        self.assertEqual(self.mark, self.tenant.openstack('volume', 'show', volume)['type'])
        self.tenant.do('server', 'stop', server)
        self.tenant.until('server', server, 'SHUTOFF')
        self.tenant.do('server', 'start', server)
        self.tenant.until('server', server, 'ACTIVE')
        self.tenant.do('server', 'add', 'volume', server, volume)
        self.tenant.until('volume', volume, 'in-use')
        self.tenant.do('server', 'remove', 'volume', server, volume)
        self.tenant.until('volume', volume, 'available')

    def check_quota(self):
        limits = self.tenant.openstack('limits', 'show', '--absolute')
        found = {row['Name'].lower().replace('_', ''): row['Value'] for row in limits}
        used = [value for name, value in found.items() if name in ('totalinstancesused', 'instancesused')]
        self.assertGreaterEqual(int(used[0]), COUNT, found)
        routing = self.operator.openstack('trio2o', 'routing', 'show', sorted(self.servers)[0])
        self.assertEqual('Pod2', routing.get('pod_name', 'Pod2'))

    def check_conflict(self):
        rows = self.operator.openstack('trio2o', 'replica', 'list', '--pod', 'Pod2')
        self.assertIn(self.clash, str(rows))
        shown = self.admin.compute('GET', f'/flavors/{self.clash}')['flavor']
        self.assertEqual(512, shown['ram'], 'the flavor of the pod was changed')

    def check_leaving(self):
        """Deleting the pod from Trio2o does not change its resources."""
        then = self.mine('compute', 'servers'), self.mine('volume', 'volumes')
        self.operator.do('trio2o', 'pod', 'delete', 'Pod2', '--force')
        after = self.mine('compute', 'servers'), self.mine('volume', 'volumes')
        for old, new in zip(then, after, strict=True):
            self.assertEqual(
                {each['id']: each['status'] for each in old}, {each['id']: each['status'] for each in new}
            )
        self.assertEqual(128, self.admin.compute('GET', f'/flavors/{self.flavor}')['flavor']['ram'])
