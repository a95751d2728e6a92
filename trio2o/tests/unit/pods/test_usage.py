# SPDX-License-Identifier: Apache-2.0
"""Usage computed from the answers of Placement and Cinder."""

import datetime

import testtools
from hypothesis import given
from hypothesis import strategies as st

from trio2o.pods.usage import GIGABYTES, Amount, Usage, from_cinder, from_placement

NOW = datetime.datetime(2026, 1, 1)


def host(vcpus, used=0, ratio=1.0, reserved=0, **more):
    inventory = {'total': vcpus, 'reserved': reserved, 'allocation_ratio': ratio, **more}
    return {'VCPU': inventory}, {'VCPU': used}


def pool(**reported):
    return {'name': 'host@backend#pool', 'capabilities': {'volume_backend_name': 'fake', **reported}}


class TestProviders(testtools.TestCase):
    def vcpus(self, *hosts):
        return from_placement(NOW, hosts).amounts['VCPU']

    def test_ratio_reserved_and_max_unit_are_applied(self):
        self.assertEqual(Amount(24, 5, 19, 10), self.vcpus(host(8, 5, 4.0, 2, max_unit=10)))

    def test_hosts_are_summed(self):
        self.assertEqual(Amount(24, 10, 14, 13), self.vcpus(host(8, 7), host(16, 3)))

    def test_overcommitted_host_does_not_reduce_free_of_others(self):
        self.assertEqual(Amount(12, 12, 4, 4), self.vcpus(host(4, 8), host(8, 4)))

    def test_resources_without_inventory_are_zero(self):
        usage = from_placement(NOW, [])
        self.assertEqual({'VCPU', 'MEMORY_MB', 'DISK_GB'}, set(usage.amounts))
        self.assertEqual(Amount(0, 0, 0, 0), usage.amounts['DISK_GB'])

    def test_other_resource_classes_are_counted(self):
        usage = from_placement(NOW, [({'VGPU': {'total': 4}}, {'VGPU': 1})])
        self.assertEqual(Amount(4, 1, 3, 3), usage.amounts['VGPU'])

    @given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 900), st.floats(0.1, 16), st.integers(0, 20))))
    def test_free_is_at_most_capacity(self, rows):
        hosts = [host(total, used, ratio, reserved) for total, used, ratio, reserved in rows]
        amount = self.vcpus(*hosts)
        self.assertTrue(0 <= amount.largest <= amount.free <= amount.capacity)
        self.assertEqual(sum(row[1] for row in rows), amount.used)
        self.assertGreaterEqual(amount.free, amount.capacity - amount.used)


class TestPools(testtools.TestCase):
    def gigabytes(self, *pools):
        return from_cinder(NOW, pools).amounts[GIGABYTES]

    def test_thick_pool_subtracts_reserved_share(self):
        reported = {'total_capacity_gb': 100, 'free_capacity_gb': 60, 'reserved_percentage': 10}
        self.assertEqual(Amount(90, 40, 50, 50), self.gigabytes(pool(**reported)))

    def test_thin_pool_is_limited_by_provisioned_and_physical_capacity(self):
        reported = {
            'total_capacity_gb': 100,
            'free_capacity_gb': 60,
            'provisioned_capacity_gb': 150,
            'thin_provisioning_support': True,
            'max_over_subscription_ratio': '2.0',
        }
        # The smaller of provisioned and physical free capacity counts.
        self.assertEqual(Amount(200, 150, 50, 50), self.gigabytes(pool(**reported)))
        self.assertEqual(Amount(200, 150, 20, 20), self.gigabytes(pool(**{**reported, 'free_capacity_gb': 10})))

    def test_ratio_is_ignored_for_thick_pool(self):
        reported = {'total_capacity_gb': 100, 'free_capacity_gb': 60, 'max_over_subscription_ratio': 20}
        self.assertEqual(60, self.gigabytes(pool(**reported)).free)

    def test_unknown_capacity_is_unlimited(self):
        for reported in ('infinite', 'unknown', None, 'NaN'):
            amount = self.gigabytes(
                pool(total_capacity_gb=reported, free_capacity_gb=reported, allocated_capacity_gb=7)
            )
            self.assertEqual(Amount(None, 7, None, None), amount)
        both = pool(total_capacity_gb='infinite', free_capacity_gb='infinite')
        self.assertIsNone(self.gigabytes(pool(total_capacity_gb=1, free_capacity_gb=1), both).free)

    def test_usage_is_summed_by_backend(self):
        usage = from_cinder(
            NOW,
            [
                pool(total_capacity_gb=10, free_capacity_gb=10),
                pool(total_capacity_gb=10, free_capacity_gb=4, volume_backend_name='ssd'),
                pool(total_capacity_gb=10, free_capacity_gb=3, volume_backend_name='ssd'),
            ],
        )
        self.assertEqual(Amount(30, 13, 17, 10), usage.of_backend('')[GIGABYTES])
        self.assertEqual(Amount(20, 13, 7, 4), usage.of_backend('ssd')[GIGABYTES])
        self.assertEqual(0, usage.of_backend('tape')[GIGABYTES].free)

    def test_pool_that_is_down_is_not_counted(self):
        down = pool(total_capacity_gb=10, free_capacity_gb=10, backend_state='down')
        self.assertIsNone(from_cinder(NOW, [down]))
        self.assertIsNone(from_cinder(NOW, []))

    @given(
        st.fixed_dictionaries(
            {
                'total_capacity_gb': st.one_of(st.floats(0, 1e6), st.just('infinite')),
                'free_capacity_gb': st.one_of(st.floats(0, 1e6), st.just('unknown')),
                'provisioned_capacity_gb': st.floats(0, 1e6),
                'reserved_percentage': st.integers(0, 100),
                'thin_provisioning_support': st.booleans(),
                'max_over_subscription_ratio': st.one_of(st.floats(1, 20), st.just('auto')),
            }
        )
    )
    def test_any_value_is_accepted(self, reported):
        amount = self.gigabytes(pool(**reported))
        self.assertTrue(amount.free is None or amount.free >= 0)


class TestStoredUsage(testtools.TestCase):
    def test_usage_is_stored_and_read(self):
        for usage in (
            from_placement(NOW, [host(8, 5)]),
            from_cinder(NOW, [pool(total_capacity_gb='infinite', free_capacity_gb=1), pool(total_capacity_gb=5)]),
        ):
            self.assertEqual(usage, Usage.from_json(usage.to_json(), NOW))

    def test_malformed_usage_is_none(self):
        for stored in (None, {}, {'amounts': 7, 'pools': []}, {'amounts': {'VCPU': {}}, 'pools': []}):
            self.assertIsNone(Usage.from_json(stored, NOW))
