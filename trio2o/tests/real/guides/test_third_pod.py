# SPDX-License-Identifier: Apache-2.0
"""A third real pod is registered while tenants send requests ("When a pod joins" in the administrator's guide)."""

import threading
import time
import unittest

from trio2o.tests.fixtures.real import RealGateway, connect, real_lab, temporary_name
from trio2o.tests.fixtures.waiting import wait_until

SECONDS = 180
#: Between two volumes of a tenant, so that the processes that start get most of the machine.
PAUSE_SECONDS = 1


class Tenant(threading.Thread):
    """Creates a volume, shows and lists it, and deletes it, repeatedly; keeps the first error.

    :param zone: availability zone of the volumes, or None
    """

    def __init__(self, lab, zone, type_id):
        super().__init__()
        self._storage = connect(lab).block_storage
        self._volume = {'size': 1, 'volume_type': type_id, 'availability_zone': zone}
        self.is_over = threading.Event()
        self.lives = 0
        self.surprise = None

    def run(self):
        try:
            while not self.is_over.wait(PAUSE_SECONDS):
                self._live()
                self.lives += 1
        except Exception as error:
            self.surprise = error

    def _live(self):
        volume = self._storage.create_volume(name=temporary_name('busy'), **self._volume)
        volume = self._storage.wait_for_status(volume, 'available', interval=0.2, wait=SECONDS)
        if volume.id not in [each.id for each in self._storage.volumes()]:
            raise AssertionError(f'{volume.id} is not in the list')
        self._storage.delete_volume(volume)
        self._storage.wait_for_delete(volume, interval=0.2, wait=SECONDS)


class ThirdPodTest(unittest.TestCase):
    def test_pod_joins_while_tenants_send_requests(self):
        lab = real_lab()
        lab.start()
        # Other tests need the lab to have two pods.
        self.addCleanup(lab.shrink, len(lab.topology.pods))
        gateway = RealGateway(lab)
        gateway.setUp()
        self.addCleanup(gateway.cleanUp)
        storage = connect(lab, 'admin').block_storage
        type_id = storage.create_type(name=temporary_name('kind'), extra_specs={'test:a': 'b'}).id
        name = temporary_name('specs')
        body = {'qos_specs': {'name': name, 'consumer': 'front-end', 'iops': '5'}}
        qos_id = storage.post('/qos-specs', json=body).json()['qos_specs']['id']
        storage.get(f'/qos-specs/{qos_id}/associate', params={'vol_type_id': type_id})
        tenants = [Tenant(lab, zone, type_id) for zone in ('az1', 'az2', None)]
        for tenant in tenants:
            tenant.start()
        try:
            lab.grow(3)
            lab.configure()
            lab.start()
            before = [tenant.lives for tenant in tenants]
            lab.register_pods()
            begun = time.monotonic()
            mine = connect(lab).block_storage
            volume = mine.create_volume(size=1, volume_type=type_id, availability_zone='az3')
            volume = mine.wait_for_status(volume, 'available', interval=0.2, wait=SECONDS)
            made = time.monotonic() - begun
            wanted = {each.name for each in storage.types()}
            there = connect(lab, 'admin', 'Pod3').block_storage
            wait_until(lambda: self._has_all(there, wanted, name), SECONDS, 'Pod3 lacks types or QoS specs', 0.2)
            print(f'a volume in the third pod after {made:.1f} s, all types and QoS specs after', end=' ')
            print(f'{time.monotonic() - begun:.1f} s')

            def have_gone_on():
                pairs = zip(tenants, before, strict=True)
                return all(not tenant.is_alive() or tenant.lives >= old + 2 for tenant, old in pairs)

            wait_until(have_gone_on, 2 * SECONDS, 'the tenants do not send requests any more', 0.2)
            self.assertEqual(type_id, mine.get_volume(volume).to_dict().get('volume_type_id', type_id))
            self.assertEqual('az3', mine.get_volume(volume).availability_zone)
            mine.delete_volume(volume)
        finally:
            for tenant in tenants:
                tenant.is_over.set()
            for tenant in tenants:
                tenant.join()
        self.assertEqual([None] * len(tenants), [tenant.surprise for tenant in tenants])

    def _has_all(self, there, types, specs_name):
        names = {each.name for each in there.types()}
        specs = {row['name'] for row in there.get('/qos-specs').json()['qos_specs']}
        return types <= names and specs_name in specs
