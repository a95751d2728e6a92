# SPDX-License-Identifier: Apache-2.0
"""Definitions of server groups in answers of any shape, and copies that are found by them."""

import uuid

import testtools
from hypothesis import given
from hypothesis import strategies as st

from trio2o.db.database import utcnow
from trio2o.db.records import ServerGroupCopy
from trio2o.routing import unanswered_copies
from trio2o.routing.unanswered_copies import definition_of
from trio2o.tests.unit.db.base import DatabaseTest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


class TestDefinition(testtools.TestCase):
    def test_definition_is_the_same_at_every_version(self):
        definition = {'name': 'g', 'policy': 'anti-affinity'}
        for shown in (
            {'policies': ['anti-affinity'], 'metadata': {}},
            {'policy': 'anti-affinity', 'rules': {}},
            {'policy': 'anti-affinity', 'rules': None, 'policies': None},
        ):
            self.assertEqual(definition, definition_of({'name': 'g', **shown}))
        rules = {'max_server_per_host': 2}
        shown = {'name': 'g', 'policy': 'anti-affinity', 'rules': rules}
        self.assertEqual({**definition, 'rules': rules}, definition_of(shown))

    def test_policies_of_another_shape_are_no_policy(self):
        for odd in (None, 7, True, 'affinity', {}, {'affinity': 1}, [], [7], [None], [['affinity']], [{}], ['']):
            self.assertEqual({'name': 'g', 'policy': None}, definition_of({'name': 'g', 'policies': odd}), odd)

    @given(st.fixed_dictionaries({}, optional={'name': JSON, 'policy': JSON, 'policies': JSON, 'rules': JSON}))
    def test_any_shape_has_a_definition_with_a_policy_and_rules_of_the_right_type(self, group):
        definition = definition_of(group)
        self.assertTrue(definition['policy'] is None or isinstance(definition['policy'], str))
        self.assertIsInstance(definition.get('rules', {}), dict)


class TestFind(DatabaseTest):
    def test_groups_of_odd_shapes_are_left_out(self):
        definition, wanted = {'name': 'g', 'policy': 'affinity'}, str(uuid.uuid4())
        copy = ServerGroupCopy(
            id=1, top_id='top', pod_id=self.pod1, project_id='p', bottom_id=None, definition=definition,
            state='making', busy_until=None, used_in=None, users=0, created_at=utcnow(),
        )  # fmt: skip
        good = {'id': wanted, 'name': 'g', 'policies': ['affinity'], 'members': []}
        odd = [{**good, 'id': value} for value in (None, 7, [], {}, 'x')]
        odd += [{name: value for name, value in good.items() if name != 'id'}]
        odd += [{**good, 'id': str(uuid.uuid4()), 'policies': value} for value in (7, {'affinity': 1}, 'affinity')]
        self.assertEqual({}, unanswered_copies.find(self.db, [copy], odd))
        self.assertEqual({1: wanted}, unanswered_copies.find(self.db, [copy], [*odd, good]))
