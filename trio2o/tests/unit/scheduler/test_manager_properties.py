# SPDX-License-Identifier: Apache-2.0
"""Properties of filters, weighers, order and headroom for any pods and requests."""

import datetime
import math

import testtools
from hypothesis import given
from hypothesis import strategies as st

from trio2o.db.records import Pod
from trio2o.pods.breakers import Breakers
from trio2o.pods.registry import PodView, group_of
from trio2o.pods.usage import Amount, Usage
from trio2o.scheduler.capacity import SETTLED, Room, kept, read_headroom, shortage
from trio2o.scheduler.filters.capacity import CapacityFilter
from trio2o.scheduler.filters.pod_group import PodGroupFilter
from trio2o.scheduler.filters.resource_affinity import ResourceAffinityFilter
from trio2o.scheduler.manager import scale
from trio2o.scheduler.spec import PodRequest
from trio2o.scheduler.weighers.idle_capacity import IdleCapacityWeigher
from trio2o.scheduler.weighers.pack import PackWeigher
from trio2o.scheduler.weighers.spread import SpreadWeigher
from trio2o.tests.fixtures.conf import ConfFixture

NOW = datetime.datetime(2026, 1, 1)
KEYS = st.sampled_from(['gpu', 'disk', 'net'])
VALUES = st.sampled_from(['a', 'b'])
TAGS = st.dictionaries(KEYS, VALUES)
AMOUNTS = st.integers(0, 1000)
WEIGHTS = st.one_of(st.floats(-1e9, 1e9), st.sampled_from([math.inf, -math.inf, math.nan]))


def pod(number=1, tag=None, headroom=None, amounts=None, collected_at=NOW, service='compute'):
    record = Pod(
        **{
            **dict.fromkeys(Pod.__dataclass_fields__),
            'pod_id': f'pod{number}',
            'pod_name': f'Pod{number}',
            'az_name': 'az1',
            'number': number,
            'state': 'enabled',
            'resource_affinity_tag': tag,
            'headroom': headroom,
            'created_at': NOW,
        }
    )
    usages = {} if amounts is None else {service: Usage(collected_at, amounts)}
    return PodView(record, {}, usages=usages)


def whole(capacity, used):
    free = max(0, capacity - used)
    return Amount(capacity, used, free, free)


def specs(tag):
    return {f'trio2o:{key}': value for key, value in tag.items()}


class SchedulingTest(testtools.TestCase):
    options = {}

    def setUp(self):
        super().setUp()
        self.now = NOW
        self.conf = self.useFixture(ConfFixture(scheduler=self.options)).conf
        self.room = Room(self.conf, lambda: self.now)
        self.breakers = Breakers(1, 1.0)

    def filter(self, kind):
        return kind(self.conf, self.breakers, self.room)

    def weigher(self, kind):
        return kind(self.conf, self.room)


class TestAffinity(SchedulingTest):
    @given(TAGS, TAGS)
    def test_pod_passes_if_it_has_requested_tags_and_no_others_are_needed(self, tag, wanted):
        request = PodRequest('compute', 'project', extra_specs={**specs(wanted), 'hw:cpu_policy': 'shared'})
        passes = self.filter(ResourceAffinityFilter).passes(pod(tag=tag), request)
        self.assertEqual(wanted.items() <= tag.items() if wanted else not tag, passes)
        why = self.filter(ResourceAffinityFilter).why(pod(tag=tag), request)
        self.assertEqual(passes, not why or why.startswith('is for') and wanted.items() <= tag.items() and passes)

    @given(TAGS, TAGS)
    def test_equal_tags_are_one_group(self, one, other):
        self.assertEqual(one == other, group_of(one) == group_of(other))

    def test_long_tags_are_distinguished(self):
        one, other = ({f'key{index}': 'x' * 255 for index in range(3)} | {'z': end} for end in 'ab')
        self.assertEqual(255, len(group_of(one)))
        self.assertNotEqual(group_of(one), group_of(other))

    @given(st.lists(TAGS, min_size=1, max_size=6), st.sets(st.integers(0, 5)))
    def test_pods_of_one_group_pass(self, tags, bound):
        pods = [pod(number, tag) for number, tag in enumerate(tags)]
        request = PodRequest('compute', 'project', bound=tuple(f'pod{number}' for number in sorted(bound)))
        passed = self.filter(PodGroupFilter).passing(pods, request)
        self.assertEqual(1, len({each.group for each in passed}))
        self.assertEqual(min(map(len, tags)), len(passed[0].record.resource_affinity_tag))
        self.assertEqual([each for each in pods if each.group == passed[0].group], passed)


class TestHeadroom(SchedulingTest):
    options = {'headroom': 'vcpu:10%,gigabytes:5'}

    @given(AMOUNTS, AMOUNTS, AMOUNTS, st.one_of(AMOUNTS, st.integers(0, 100).map(lambda share: f'{share}%')))
    def test_headroom_is_kept_free(self, capacity, used, wanted, headroom):
        amount = whole(capacity, used)
        kept_free = read_headroom({'vcpu': headroom})
        request = PodRequest('compute', 'project', resources={'VCPU': wanted})
        reason = shortage({'VCPU': amount}, kept_free, request)
        keep = kept(amount, kept_free['VCPU'])
        if wanted == 0:
            self.assertEqual('', reason)
        else:
            self.assertEqual(amount.free - wanted >= keep, not reason)

    @given(AMOUNTS, st.integers(0, 100), st.integers(0, 100))
    def test_larger_headroom_is_stricter(self, wanted, less, more):
        less, more = sorted((less, more))
        request = PodRequest('compute', 'project', resources={'VCPU': wanted})
        amounts = {'VCPU': whole(1000, 300)}
        strict = shortage(amounts, read_headroom({'vcpu': f'{more}%'}), request)
        lax = shortage(amounts, read_headroom({'vcpu': f'{less}%'}), request)
        self.assertTrue(strict or not lax)

    def test_headroom_of_pod_overrides_option(self):
        self.assertEqual({'VCPU': (0.1, True), 'gigabytes': (5.0, False)}, self.room.headroom(pod().record))
        own = self.room.headroom(pod(headroom={'VCPU': 3, 'Disk_GB': '5%'}).record)
        self.assertEqual({'VCPU': (3.0, False), 'gigabytes': (5.0, False), 'DISK_GB': (0.05, True)}, own)

    def test_invalid_headroom_is_refused(self):
        for value in ('-1', '101%', 'much', '', 'nan', 'inf', '-1%'):
            self.assertRaises(ValueError, read_headroom, {'vcpu': value})

    def test_request_without_resources_respects_headroom(self):
        request = PodRequest('compute', 'project')
        self.assertEqual('', shortage({'VCPU': whole(10, 9)}, {'VCPU': (1.0, False)}, request))
        self.assertIn('VCPU', shortage({'VCPU': whole(10, 9)}, {'VCPU': (2.0, False)}, request))

    def test_request_must_fit_into_one_host_or_pool(self):
        amounts = {'VCPU': Amount(16, 8, 8, 4)}
        several = PodRequest('compute', 'project', resources={'VCPU': 8}, count=2)
        self.assertEqual('', shortage(amounts, {}, several))
        self.assertIn('in one host or pool', shortage(amounts, {}, PodRequest('compute', 'p', resources={'VCPU': 8})))


class TestRoom(SchedulingTest):
    options = {'usage_max_age': 100}

    def request(self, vcpus=1):
        return PodRequest('compute', 'project', resources={'VCPU': vcpus})

    def free(self, view):
        return self.room.amounts(view, self.request())['VCPU'].free

    @given(st.integers(0, 100), st.lists(st.integers(1, 20), max_size=10), st.integers(0, 10))
    def test_placed_resources_are_subtracted_until_settled(self, free, placed, seen):
        self.room = Room(self.conf, lambda: self.now)
        before = pod(amounts={'VCPU': whole(free, 0)})
        for vcpus in placed:
            self.room.placed(before, self.request(vcpus))
        self.assertEqual(free - sum(placed), self.free(before))
        # The next reading shows some of the servers, and may not have all of them yet.
        shown = sum(placed[:seen])
        after = pod(amounts={'VCPU': whole(free, shown)}, collected_at=NOW + SETTLED / 2)
        self.assertEqual(min(max(0, free - shown), free - sum(placed)), self.free(after))
        # A reading that must have all of them replaces the count of the gateway.
        settled = pod(amounts={'VCPU': whole(free, 0)}, collected_at=NOW + SETTLED)
        self.assertEqual(free, self.free(settled))

    def test_unknown_and_stale_usage_passes(self):
        full = pod(amounts={'VCPU': whole(0, 0)})
        capacity = self.filter(CapacityFilter)
        self.assertFalse(capacity.passes(full, self.request()))
        self.assertTrue(capacity.passes(pod(), self.request()))
        self.now += datetime.timedelta(seconds=101)
        self.assertTrue(capacity.passes(full, self.request()))
        self.assertEqual('', capacity.why(full, self.request()))

    def test_placed_resources_are_forgotten_in_time(self):
        view = pod()
        for _second in range(1000):
            self.now += datetime.timedelta(seconds=1)
            self.room.placed(view, self.request())
        ((seconds,),) = (each.values() for each in self.room._recent.values())
        self.assertTrue(len(seconds) <= 112, len(seconds))

    def test_placed_resources_count_for_their_pod_and_service(self):
        first, second = (pod(number, amounts={'VCPU': whole(10, 0)}) for number in (1, 2))
        self.room.placed(first, self.request(4))
        self.room.placed(second, PodRequest('volume', 'project', resources={'gigabytes': 4}))
        self.assertEqual((6, 10), (self.free(first), self.free(second)))


class TestWeights(SchedulingTest):
    @given(st.lists(WEIGHTS, max_size=8))
    def test_weights_are_scaled_in_order(self, raw):
        scaled = scale(raw)
        self.assertTrue(all(0.0 <= weight <= 1.0 for weight in scaled))
        self.assertEqual(len(raw), len(scaled))
        for weight, one in zip(raw, scaled, strict=True):
            for less, other in zip(raw, scaled, strict=True):
                if weight > less:
                    self.assertGreaterEqual(one, other)

    def test_infinite_weight_is_scaled_to_1(self):
        low, high, most = scale([0.0, 100.0, math.inf])
        self.assertTrue(low == 0.0 < 0.9 < high < most == 1.0)

    @given(st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=2, max_size=5), st.integers(1, 50))
    def test_idle_capacity_is_number_of_requests_that_fit(self, rows, wanted):
        request = PodRequest('compute', 'project', resources={'VCPU': wanted, 'DISK_GB': 0})
        for number, row in enumerate(rows):
            amounts = {'VCPU': whole(*row), 'DISK_GB': whole(0, 0)}
            self.assertEqual(
                max(0, row[0] - row[1]) // wanted,
                self.weigher(IdleCapacityWeigher).weigh(pod(number, amounts=amounts), request),
            )
        self.assertEqual(math.inf, self.weigher(IdleCapacityWeigher).weigh(pod(), request))

    @given(AMOUNTS, AMOUNTS)
    def test_spread_is_negative_of_pack(self, capacity, used):
        view = pod(amounts={'VCPU': whole(capacity, used), 'MEMORY_MB': whole(1000, 0)})
        request = PodRequest('compute', 'project')
        share = self.weigher(SpreadWeigher).weigh(view, request)
        self.assertEqual(-share, self.weigher(PackWeigher).weigh(view, request))
        self.assertTrue(0.0 <= share <= 1.0)
        self.assertEqual(max(0, capacity - used) / capacity if capacity else 0.0, share)
