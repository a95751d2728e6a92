# SPDX-License-Identifier: Apache-2.0
"""References in bodies, and scheduler hints under either key."""

from types import SimpleNamespace

import testtools

from trio2o.conf import new_config
from trio2o.gateway.refs import hinted_refs, refs, scheduler_hints
from trio2o.resources import SERVER, VOLUME

KEYS = ('os:scheduler_hints', 'OS-SCH-HNT:scheduler_hints')


def call(document):
    """Make what a function of this module reads of a call."""
    return SimpleNamespace(json=document, runtime=SimpleNamespace(conf=new_config([], files=[])))


class TestRefs(testtools.TestCase):
    def test_values_that_cannot_be_ids_are_left_out(self):
        self.assertEqual([(VOLUME, 'a'), (VOLUME, 'b')], refs(VOLUME, 'a', None, '', 7, ['c'], {}, 'b'))


class TestSchedulerHints(testtools.TestCase):
    def test_hints_are_read_under_either_key(self):
        for key in KEYS:
            self.assertEqual({'group': 'g'}, scheduler_hints({key: {'group': 'g'}}))

    def test_empty_hints_do_not_hide_those_under_the_other_key(self):
        self.assertEqual({'group': 'g'}, scheduler_hints({KEYS[0]: {}, KEYS[1]: {'group': 'g'}}))
        self.assertIsNone(scheduler_hints({KEYS[0]: {}, KEYS[1]: None, 'server': {}}))

    def test_hint_has_one_id_or_a_list(self):
        for value in ('a', ['a'], ['a', None, 7]):
            self.assertEqual([(SERVER, 'a')], hinted_refs(call({KEYS[1]: {'same_host': value}}), 'same_host', SERVER))

    def test_hints_of_another_type_have_no_refs(self):
        for hints in ('a', ['a'], 7, True):
            self.assertEqual([], hinted_refs(call({KEYS[0]: hints}), 'same_host', SERVER))
