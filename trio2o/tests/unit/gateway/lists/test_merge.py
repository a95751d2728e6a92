# SPDX-License-Identifier: Apache-2.0
"""Compare the merged pages of pods with one list that has all records.

Pods are simulated as sorted lists with limit and marker. They sort by microseconds and show seconds, as Nova
does over SQLite or PostgreSQL; the walk through the pages is that of a client.
"""

import dataclasses
import itertools

import testtools
from hypothesis import given, settings
from hypothesis import strategies as st

from trio2o.gateway.lists.merge import After, Order, PodItems, merge

SPARE = 4


@dataclasses.dataclass(frozen=True)
class Stored:
    """One record of a pod. It is sorted by microseconds, and shows seconds."""

    id: str
    second: int
    micro: int
    name: str | None

    @property
    def shown(self):
        return {'id': self.id, 'created': self.second, 'name': self.name}


class Pod:
    """A sorted list with limit and marker."""

    def __init__(self, records, sort, most=1000):
        self.records = sort(records)
        self.most = most
        self.asked = 0

    def page(self, limit, marker):
        self.asked += 1
        ids = [record.id for record in self.records]
        start = ids.index(marker) + 1 if marker is not None else 0
        end = start + min(limit, self.most)
        return [record.shown for record in self.records[start:end]], end < len(ids)


class Sorting:
    """A sort order, as pods apply it, as the merge applies it, and as one list has it."""

    def __init__(self, by_name, descending, id_descending):
        self.by_name, self.descending, self.id_descending = by_name, descending, id_descending
        fields = ['name', 'created'] if by_name else ['created']
        self.order = Order(
            tuple(lambda item, name=name: item[name] for name in fields),
            (*[descending for _ in fields], id_descending),
        )

    def __repr__(self):
        return f'Sorting({self.by_name}, {self.descending}, {self.id_descending})'

    def _sort(self, records, *keys):
        """Sort by the keys in order, then by id."""
        records = sorted(records, key=lambda record: record.id, reverse=self.id_descending)
        for key in reversed(keys):
            records.sort(key=key, reverse=self.descending)
        return records

    def _keys(self):
        def name(record):
            return (record.name is not None, record.name or '')

        return [name, lambda record: record.second] if self.by_name else [lambda record: record.second]

    def in_pod(self, records):
        return self._sort(records, *self._keys(), lambda record: record.micro)

    def whole(self, pods):
        """The oracle."""
        records = [record for pod in pods for record in pod.records]
        return [record.id for record in self._sort(records, *self._keys())]


def starts(pods, sorting, marker):
    """The marker for each pod: its nearest record before all records that may follow the marker of the page."""
    if marker is None or sorting.by_name:
        return [None for _ in pods]
    found = []
    for pod in pods:
        before = [
            record
            for record in pod.records
            if (record.second > marker['created'] if sorting.descending else record.second < marker['created'])
        ]
        nearest = min(before, key=lambda record: abs(record.second - marker['created']), default=None)
        found.append(nearest.id if nearest else None)
    return found


def holder(pods, markers, marker):
    """The list that contains the marker and is read from before it."""
    return next(
        (
            index
            for index, pod in enumerate(pods)
            if markers[index] != marker['id'] and marker['id'] in [record.id for record in pod.records]
        ),
        None,
    )


def one_page(pods, sorting, limit, marker):
    """Read pages of the pods until one page of the merged list is certain, as ``ListRun`` does."""
    parts = [PodItems() for _ in pods]
    markers = starts(pods, sorting, marker)
    wanting = list(range(len(pods)))
    after = After(sorting.order.keys(marker), holder(pods, markers, marker)) if marker else None
    for _round in range(10000):
        for index in wanting:
            items, is_more = pods[index].page(limit + SPARE, markers[index])
            parts[index].items += items
            parts[index].is_done = not is_more
            if items:
                markers[index] = items[-1]['id']
        merged = merge(parts, sorting.order, limit, after)
        if not merged.to_read:
            return merged
        wanting = merged.to_read
    raise AssertionError('no end')


def walk(pods, sorting, limit):
    found, marker = [], None
    while True:
        merged = one_page(pods, sorting, limit, marker)
        found += [item['id'] for item in merged.items]
        if not merged.items:
            return found
        if len(found) > 1000:
            raise AssertionError('no end')
        marker = merged.items[-1]


sortings = st.builds(Sorting, st.booleans(), st.booleans(), st.booleans())


@st.composite
def clouds(draw, sorting):
    """Some pods, with few seconds and names, so that many records have equal keys."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 5),
                st.integers(0, 3),
                st.integers(0, 9),
                st.sampled_from(['a', 'b', 'ab', None]),
            ),
            max_size=40,
        )
    )
    count = draw(st.integers(1, 6))
    ids = draw(st.permutations(range(len(rows))))
    records = [[] for _ in range(count)]
    for (pod, second, micro, name), number in zip(rows, ids, strict=True):
        records[pod % count].append(Stored(f'{number:03d}', second, micro, name))
    most = draw(st.sampled_from([1, 2, 7, 1000]))
    return [Pod(part, sorting.in_pod, most) for part in records]


class TestMerge(testtools.TestCase):
    @settings(max_examples=300)
    @given(st.data(), sortings, st.integers(1, 12))
    def test_pages_of_all_pods_make_the_whole_list(self, data, sorting, limit):
        pods = data.draw(clouds(sorting))
        self.assertEqual(sorting.whole(pods), walk(pods, sorting, limit))

    @settings(max_examples=150)
    @given(st.data(), sortings, st.integers(0, 12))
    def test_page_has_as_many_items_as_its_limit(self, data, sorting, limit):
        pods = data.draw(clouds(sorting))
        merged = one_page(pods, sorting, limit, None)
        whole = sorting.whole(pods)
        self.assertEqual(whole[:limit], [item['id'] for item in merged.items])
        if limit < len(whole):
            self.assertTrue(merged.is_more)

    @settings(max_examples=100)
    @given(st.data(), sortings, st.integers(1, 12))
    def test_item_that_two_pods_show_comes_once(self, data, sorting, limit):
        """A resource that moves is in two pods for a while."""
        pods = data.draw(clouds(sorting))
        twice = [*pods, Pod(pods[0].records, sorting.in_pod)]
        self.assertEqual(sorting.whole(pods), walk(twice, sorting, limit))

    @settings(max_examples=300)
    @given(
        st.lists(
            st.lists(st.sampled_from(['a', 'A', 'b', 'B', 'ab', 'aB', 'Z', '']), max_size=12), min_size=1, max_size=4
        ),
        st.lists(st.sampled_from([str, str.casefold, str.swapcase, len]), min_size=4, max_size=4),
        st.integers(1, 5),
        st.booleans(),
    )
    def test_order_is_the_same_in_pages_when_pods_sort_names_differently(self, names, collations, limit, down):
        order = Order((lambda item: item['name'],), (down, False))
        numbers = iter(range(1000))
        pods = [
            sorted(
                ({'id': f'{next(numbers):03d}', 'name': name} for name in part),
                key=lambda item, collation=collation: (collation(item['name']), item['name']),
                reverse=down,
            )
            for part, collation in zip(names, collations, strict=False)
        ]
        whole = merge([PodItems(pod, True) for pod in pods], order, 1000).items
        for pod in pods:
            # Items with equal names are sorted by their ids.
            self.assertEqual([item['name'] for item in pod], [item['name'] for item in whole if item in pod])
        found, after = [], None
        while True:
            parts = [PodItems() for _ in pods]
            wanting = list(range(len(pods)))
            while wanting:
                for index in wanting:
                    have = len(parts[index].items)
                    parts[index].items = pods[index][: have + limit]
                    parts[index].is_done = have + limit >= len(pods[index])
                merged = merge(parts, order, limit, after)
                wanting = merged.to_read
            if not merged.items:
                break
            found += merged.items
            last = merged.items[-1]
            after = After(order.keys(last), next(index for index, pod in enumerate(pods) if last in pod))
        self.assertEqual(whole, found)
        self.assertEqual(sorted(item['id'] for pod in pods for item in pod), sorted(item['id'] for item in found))

    def test_page_takes_one_call_when_times_differ(self):
        sorting = Sorting(False, True, False)
        pods = [
            Pod([Stored(f'{index:03d}', index, 0, '') for index in range(first, 300, 3)], sorting.in_pod)
            for first in range(3)
        ]
        one_page(pods, sorting, 10, None)
        self.assertEqual([1, 1, 1], [pod.asked for pod in pods])

    def test_values_of_any_kind_compare(self):
        order = Order((lambda item: item.get('v'),), (False, False))
        items = [{'id': str(index), 'v': value} for index, value in enumerate([None, True, 3, 2.5, 'x', [1], {}])]
        merged = merge([PodItems([item], True) for item in reversed(items)], order, 100)
        self.assertEqual(['0', '1', '3', '2', '4'], [item['id'] for item in merged.items if item['id'] < '5'])

    def test_nothing_is_certain_while_a_pod_has_listed_nothing(self):
        order = Order((lambda item: item['v'],), (False, False))
        merged = merge([PodItems([{'id': 'a', 'v': 1}], True), PodItems()], order, 10)
        self.assertEqual(([], [1], True), (merged.items, merged.to_read, merged.is_more))


class TestOrder(testtools.TestCase):
    @given(
        st.lists(st.tuples(*[st.none() | st.integers(0, 2) | st.sampled_from('ab')] * 2), max_size=4),
        st.tuples(st.booleans(), st.booleans()),
    )
    def test_order_is_kept_if_no_item_comes_before_the_one_before_it(self, values, descending):
        order = Order((lambda item: item['a'], lambda item: item['b']), (*descending, False))
        keys = order.keys_of([{'a': a, 'b': b, 'id': str(position)} for position, (a, b) in enumerate(values)])
        wanted = all(order.compare(right[:-1], left[:-1]) >= 0 for left, right in itertools.pairwise(keys))
        self.assertEqual(wanted and len({*descending}) == 1, order.is_kept(keys))
