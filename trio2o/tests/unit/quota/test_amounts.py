# SPDX-License-Identifier: Apache-2.0
"""Properties of amounts, and the messages of refusals."""

import testtools
from hypothesis import given
from hypothesis import strategies as st

from trio2o.cinder_apigw import quota_errors as volume_errors
from trio2o.conf.quota import DEFAULTS
from trio2o.db.quotas import OF_USERS, Bound, Exceeded
from trio2o.nova_apigw import quota_errors as compute_errors
from trio2o.quota import amounts
from trio2o.quota.claims import ClaimRequest, OverQuota

NAMES = st.sampled_from(sorted(DEFAULTS))
AMOUNTS = st.dictionaries(NAMES, st.integers(0, 1000), max_size=5)
TYPES = st.text('abc_-. 1', min_size=1, max_size=12)


class TestAmounts(testtools.TestCase):
    def test_each_resource_is_counted_by_one_service(self):
        counted = [name for names in amounts.COUNTED.values() for name in names]
        self.assertEqual(sorted(DEFAULTS), sorted(counted))
        self.assertEqual(set(), OF_USERS - set(amounts.COUNTED['compute']))
        for names in amounts.USED_BY.values():
            self.assertEqual(set(), set(names) - set(counted))

    @given(AMOUNTS, TYPES)
    def test_volume_type_is_read_from_names(self, plain, name):
        found = amounts.with_volume_type(plain, name)
        self.assertEqual(plain, {key: value for key, value in found.items() if key in plain})
        wanted = name if any(key in amounts.PER_VOLUME_TYPE for key in plain) else None
        self.assertEqual(wanted, amounts.volume_type_of(found))
        for key in found:
            self.assertIn(amounts.base_name(key), DEFAULTS)
            services = [service for service in amounts.COUNTED if amounts.is_counted(key, service)]
            self.assertEqual(1, len(services))

    @given(AMOUNTS, AMOUNTS)
    def test_growth_is_difference_to_new_amounts(self, old, new):
        grown = amounts.growth(old, new)
        self.assertTrue(all(more > 0 for more in grown.values()))
        after = amounts.total([old, grown])
        self.assertTrue(all(after.get(name, 0) >= amount for name, amount in new.items()))
        self.assertTrue(all(after[name] == new[name] for name in grown))

    @given(AMOUNTS, st.dictionaries(NAMES, st.integers(-100, 5000)))
    def test_max_count_is_largest_that_fits(self, once, room):
        count = amounts.max_count(once, room)
        bounding = [name for name, amount in once.items() if amount > 0 and name in room]
        if count is None:
            self.assertEqual([], bounding)
            return
        self.assertGreaterEqual(count, 0)
        fits = all(once[name] * count <= max(0, room[name]) for name in bounding)
        one_more = all(once[name] * (count + 1) <= max(0, room[name]) for name in bounding)
        self.assertEqual((True, False), (fits, one_more))

    def test_unknown_names_are_not_counted(self):
        for name in ('metadata_items', 'per_volume_gigabytes', 'key_pairs', 'backup_gigabytes_x', 'id', ''):
            self.assertFalse(any(amounts.is_counted(name, service) for service in amounts.COUNTED), name)


def refused(*exceeded, count=1, least=1, **once):
    request = ClaimRequest('p', 'u', once, count, least)
    return OverQuota(
        request, tuple(Exceeded(Bound('p', '', name, limit), more, used) for name, more, used, limit in exceeded)
    )


class TestMessages(testtools.TestCase):
    def test_compute_refusal_has_text_of_nova(self):
        error = compute_errors.over_quota_error(refused(('instances', 1, 3, 3)))
        self.assertEqual(403, error.code)
        self.assertEqual('Quota exceeded for instances: Requested 1, but already used 3 of 3 instances', error.message)
        error = compute_errors.over_quota_error(refused(('cores', 8, 1, 4), ('instances', 4, 0, 3), count=4, least=2))
        self.assertEqual(
            'Quota exceeded for cores, instances: Requested 8, 2-4, but already used 1, 0 of 4, 3 cores, instances',
            error.message,
        )

    def test_volume_refusal_has_text_of_cinder(self):
        words = {
            'volumes': (
                ('volumes', 1, 3, 3),
                "VolumeLimitExceeded: Maximum number of volumes allowed (3) exceeded for quota 'volumes'.",
            ),
            'snapshots': (
                ('snapshots_a', 1, 3, 3),
                'SnapshotLimitExceeded: Maximum number of snapshots allowed (3) exceeded',
            ),
            'backups': (
                ('backup_gigabytes', 2, 3, 4),
                'VolumeBackupSizeExceedsAvailableQuota: Requested backup '
                'exceeds allowed Backup gigabytes quota. Requested 2G, quota is 4G and 3G has been consumed.',
            ),
            'groups': (('groups', 1, 3, 3), 'GroupLimitExceeded: Maximum number of groups allowed (3) exceeded'),
        }
        for kind, (exceeded, text) in words.items():
            error = volume_errors.over_quota_error(kind, refused(exceeded))
            self.assertEqual((413, text, '0'), (error.code, error.message, error.headers['Retry-After']))
        error = volume_errors.over_quota_error('volumes', refused(('gigabytes_a', 5, 6, 10), ('volumes', 1, 1, 1)))
        self.assertIn('exceeds allowed gigabytes_a quota. Requested 5G, quota is 10G and 6G', error.message)
