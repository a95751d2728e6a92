# SPDX-License-Identifier: Apache-2.0
"""The plan from the attributes in a pod to the desired ones."""

import dataclasses

import testtools
from hypothesis import given
from hypothesis import strategies as st

from trio2o.replication import reconcile
from trio2o.replication.reconcile import (
    AddMembers,
    DropItems,
    KnownObject,
    Notes,
    PodObject,
    RemoveMembers,
    SetFields,
    SetItems,
    Shape,
)

SHAPE = Shape(
    fixed=('name', 'ram'),
    fields=('description', 'is_public'),
    maps=('specs',),
    sets=('projects',),
    local=frozenset({'backend', 'zones'}),
)


def apply(actual, steps):
    """Return the attributes after the steps."""
    there = {**actual, 'specs': dict(actual['specs']), 'projects': list(actual['projects'])}
    for step in steps:
        match step:
            case SetFields(values):
                there |= values
            case SetItems(name, items):
                there[name] |= items
            case DropItems(name, keys):
                for key in keys:
                    del there[name][key]
            case AddMembers(name, members):
                there[name] += members
            case RemoveMembers(name, members):
                there[name] = [each for each in there[name] if each not in members]
    return there


words = st.sampled_from(['a', 'b', 'c', 'backend', 'zones'])
objects = st.fixed_dictionaries(
    {
        'description': st.none() | st.text(max_size=2),
        'is_public': st.booleans(),
        'specs': st.dictionaries(words, st.sampled_from('xyz')),
        'projects': st.lists(st.sampled_from('pqrs'), unique=True),
    }
)

# Drawing an example takes long on a busy machine, which says nothing about the plan.


class TestContradictions(testtools.TestCase):
    """Attributes of an object in a pod that joins that contradict the desired ones."""

    WITH_DEFINING = dataclasses.replace(SHAPE, defining=('is_public', 'specs'))

    @given(objects)
    def test_equal_attributes_do_not_contradict(self, wanted):
        self.assertEqual((), reconcile.contradictions(self.WITH_DEFINING, wanted, wanted))

    @given(objects, objects)
    def test_attributes_after_a_plan_do_not_contradict(self, wanted, actual):
        pushed = Notes(pushed=dict.fromkeys(SHAPE.local, 9)).add_to(wanted)
        there = apply(actual, reconcile.plan(self.WITH_DEFINING, pushed, actual, seen=1))
        self.assertEqual((), reconcile.contradictions(self.WITH_DEFINING, wanted, there))

    @given(objects, objects)
    def test_plan_without_contradictions_only_adds(self, wanted, actual):
        if reconcile.contradictions(self.WITH_DEFINING, wanted, actual):
            return
        for step in reconcile.plan(self.WITH_DEFINING, wanted, actual):
            if isinstance(step, DropItems):
                self.assertLessEqual(set(step.keys), SHAPE.local)
            if isinstance(step, SetItems):
                self.assertEqual(set(), set(step.items) & set(actual['specs']) - SHAPE.local)

    def test_contradictions_are_named_by_field_and_item(self):
        wanted = {'name': 'n', 'ram': 1, 'is_public': True, 'specs': {'a': 'x'}}
        for actual, found in (
            ({'ram': 2}, ('ram',)),
            ({'is_public': False}, ('is_public',)),
            ({'is_public': None}, ()),
            ({'specs': {'a': 'y', 'backend': 'lvm'}}, ('specs: a',)),
            ({'specs': {'b': 'y'}}, ('specs: b',)),
            ({'specs': {}}, ()),
        ):
            self.assertEqual(found, reconcile.contradictions(self.WITH_DEFINING, wanted, wanted | actual), actual)

    def test_describe_names_each_change(self):
        steps = [
            (SetFields({'description': 'fast'}), "description becomes 'fast'"),
            (SetItems('specs', {'a': 'x'}), "specs: a becomes 'x'"),
            (DropItems('specs', ('a', 'b')), 'specs loses a, b'),
            (AddMembers('projects', ('p',)), 'projects gains p'),
            (RemoveMembers('projects', ('p',)), 'projects loses p'),
        ]
        for step, words_ in steps:
            self.assertEqual(words_, reconcile.describe(step))


class TestPlan(testtools.TestCase):
    @given(objects, objects)
    def test_plan_leads_to_desired_attributes(self, wanted, actual):
        pushed = Notes(pushed=dict.fromkeys(SHAPE.local, 9)).add_to(wanted)
        there = apply(actual, reconcile.plan(SHAPE, pushed, actual, seen=1))
        self.assertEqual(wanted['specs'], there['specs'])
        self.assertEqual(sorted(wanted['projects']), sorted(there['projects']))
        self.assertEqual(wanted['description'], there['description'])
        self.assertEqual(wanted['is_public'], there['is_public'])

    @given(objects, objects, st.none() | st.integers(0, 3))
    def test_second_plan_is_empty(self, wanted, actual, seen):
        there = apply(actual, reconcile.plan(SHAPE, wanted, actual, seen))
        self.assertEqual([], reconcile.plan(SHAPE, wanted, there, seen))

    @given(objects, objects)
    def test_local_values_of_a_new_pod_stay(self, wanted, actual):
        there = apply(actual, reconcile.plan(SHAPE, wanted, actual, seen=None))
        for key in SHAPE.local & set(actual['specs']):
            self.assertEqual(actual['specs'][key], there['specs'][key])

    def test_missing_local_value_is_set(self):
        wanted = {'specs': {'backend': 'x'}}
        steps = reconcile.plan(SHAPE, wanted, {'specs': {}}, seen=None)
        self.assertEqual([SetItems('specs', {'backend': 'x'})], steps)

    def test_change_of_local_value_is_pushed_once(self):
        wanted = Notes(pushed={'backend': 5}).add_to({'specs': {'backend': 'new'}})
        actual = {'specs': {'backend': 'own'}}
        self.assertEqual(
            [SetItems('specs', {'backend': 'new'})],
            reconcile.plan(SHAPE, wanted, actual, seen=4),
        )
        self.assertEqual([], reconcile.plan(SHAPE, wanted, actual, seen=5))

    def test_fields_missing_in_the_answer_get_no_step(self):
        wanted = {'description': 'x', 'is_public': True, 'specs': {'a': 'b'}, 'projects': ['p']}
        self.assertEqual([], reconcile.plan(SHAPE, wanted, {'is_public': True}))

    def test_items_are_dropped_before_others_are_set(self):
        wanted, actual = {'specs': {'a': '1'}}, {'specs': {'b': '1'}}
        self.assertEqual(
            [DropItems('specs', ('b',)), SetItems('specs', {'a': '1'})],
            reconcile.plan(SHAPE, wanted, actual),
        )


class TestFixedDifferences(testtools.TestCase):
    def test_difference_in_fixed_field_is_returned(self):
        wanted = {'name': 'a', 'ram': 1, 'description': 'x'}
        actual = {'name': 'a', 'ram': 2, 'description': 'y'}
        self.assertEqual(('ram',), reconcile.fixed_differences(SHAPE, wanted, actual))

    def test_missing_fixed_field_is_no_difference(self):
        self.assertEqual((), reconcile.fixed_differences(SHAPE, {'name': 'a', 'ram': 1}, {'name': 'a'}))


class TestSpellings(testtools.TestCase):
    def test_key_is_named_that_is_missing_beside_another_spelling(self):
        desired = {'specs': {'Foo': '1', 'foo': '2', 'bar': '3'}}
        for actual, expected in (
            ({'Foo': '1', 'bar': '3'}, ('specs: foo',)),
            ({'foo': '1'}, ('specs: Foo',)),
            ({'FOO': '1', 'bar': '3'}, ()),
            ({'bar': '3'}, ()),
            (desired['specs'], ()),
        ):
            self.assertEqual(expected, reconcile.keys_taken_for_one(SHAPE, desired, {'specs': actual}), actual)
        self.assertEqual((), reconcile.keys_taken_for_one(SHAPE, desired, {}))

    def test_spellings_are_found_in_maps_that_are_compared_whole(self):
        for specs, expected in (({'Foo': 1, 'foo ': 2}, True), ({'foo': 1, 'bar': 2}, False), (None, False)):
            self.assertEqual(expected, reconcile.has_spellings(SHAPE, {'specs': specs}))
        partial = Shape(maps=('limits',), partial_maps=frozenset({'limits'}))
        self.assertFalse(reconcile.has_spellings(partial, {'limits': {'Foo': 1, 'foo': 2}}))


class TestMergeLocal(testtools.TestCase):
    def merge(self, recorded, before, after):
        changes = reconcile.changed_local_items(SHAPE, {'specs': before}, {'specs': after})
        wanted = reconcile.merge_local(SHAPE, {'specs': recorded}, {'specs': after}, changes)
        return wanted['specs']

    def test_write_of_other_key_keeps_recorded_local_value(self):
        self.assertEqual(
            {'backend': 'first', 'a': 'new'},
            self.merge({'backend': 'first'}, {'backend': 'own'}, {'backend': 'own', 'a': 'new'}),
        )

    def test_changed_local_value_is_recorded(self):
        self.assertEqual(
            {'backend': 'new'},
            self.merge({'backend': 'first'}, {'backend': 'own'}, {'backend': 'new'}),
        )

    def test_removed_local_value_is_removed(self):
        self.assertEqual({}, self.merge({'backend': 'first'}, {'backend': 'own'}, {}))


class TestMerge(testtools.TestCase):
    """Changes that an older write made in one pod are added to newer desired attributes."""

    @given(objects, objects)
    def test_without_newer_writes_the_pod_has_the_desired_attributes(self, before, after):
        merged = reconcile.merge(dataclasses.replace(SHAPE, local=frozenset()), before, after, before)
        self.assertEqual(after | {'projects': sorted(after['projects'])}, merged)

    @given(objects, objects)
    def test_write_without_effect_changes_nothing(self, before, desired):
        merged = reconcile.merge(SHAPE, before, before, desired)
        self.assertEqual(desired | {'projects': sorted(desired['projects'])}, merged)

    @given(objects, objects, objects)
    def test_items_of_the_newer_write_stay_and_other_items_change(self, before, after, desired):
        merged = reconcile.merge(SHAPE, before, after, desired)['specs']
        for key in 'abc':
            values = [each['specs'].get(key) for each in (before, after, desired)]
            wanted = values[1] if values[2] == values[0] else values[2]
            self.assertEqual(wanted, merged.get(key))
        for key in SHAPE.local:
            self.assertEqual(desired['specs'].get(key), merged.get(key))

    def test_fields_that_the_pod_does_not_show_stay(self):
        before = {'description': 'old', 'specs': {}, 'projects': ['p']}
        self.assertEqual(before, reconcile.merge(SHAPE, before, {'specs': {}}, before))


def found(key, name=None):
    return PodObject(key, key, name or key, {'name': name or key})


def known(key, name=None, is_deleted=False, bottom_id=None):
    return KnownObject(key, name or key, is_deleted, bottom_id)


class TestPair(testtools.TestCase):
    def test_objects_are_paired_by_key(self):
        pairs, rest = reconcile.pair([known('1'), known('2')], [found('2'), found('3')], False)
        self.assertEqual({'2': found('2')}, pairs)
        self.assertEqual([found('3')], rest)

    def test_objects_with_ids_of_pods_are_paired_by_name(self):
        there = found('their-id', 'gold')
        pairs, rest = reconcile.pair([known('top-id', 'gold')], [there], True)
        self.assertEqual({'top-id': there}, pairs)
        self.assertEqual([], rest)

    def test_known_id_takes_precedence_over_name(self):
        renamed = found('b1', 'new')
        pairs, rest = reconcile.pair([known('t1', 'old', bottom_id='b1'), known('t2', 'new')], [renamed], True)
        self.assertEqual({'t1': renamed}, pairs)
        self.assertEqual([], rest)

    def test_deleted_object_is_not_paired_with_successor_of_same_name(self):
        there = found('b2', 'gold')
        pairs, rest = reconcile.pair([known('t1', 'gold', is_deleted=True)], [there], True)
        self.assertEqual({}, pairs)
        self.assertEqual([there], rest)

    def test_deleted_object_is_paired_by_key(self):
        pairs, rest = reconcile.pair([known('1', is_deleted=True)], [found('1')], False)
        self.assertEqual([], rest)
        self.assertEqual({'1': found('1')}, pairs)
