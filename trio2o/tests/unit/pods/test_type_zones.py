# SPDX-License-Identifier: Apache-2.0
"""The zones of volume types in the names of tenants and of pods, read as Cinder reads them."""

import ast
import importlib.util
import pathlib

import testtools
from hypothesis import given
from hypothesis import strategies as st

from trio2o.pods import type_zones

NAMES = st.text(alphabet='abz1-_', min_size=1, max_size=5)
LISTS = st.lists(NAMES, max_size=4)


def read_function(name):
    """Return a function of Cinder without importing its module, whose options collide with those of Nova."""
    cinder = pathlib.Path(importlib.util.find_spec('cinder').origin).parent
    module = ast.parse((cinder / 'volume' / 'volume_utils.py').read_text())
    module.body = [each for each in module.body if isinstance(each, ast.FunctionDef) and each.name == name]
    code = compile(ast.parse('from __future__ import annotations\n' + ast.unparse(module)), 'volume_utils', 'exec')
    names = {}
    exec(code, names)
    return names[name]


ZONES_OF_TYPE = read_function('extract_availability_zones_from_volume_type')


def used_by_cinder(value):
    return {name for name in ZONES_OF_TYPE({'extra_specs': {type_zones.KEY: value}}) if name}


class TestTypeZones(testtools.TestCase):
    @given(LISTS, NAMES, LISTS)
    def test_value_from_pod_is_the_one_sent_to_it(self, names, zone, pod_zones):
        value = type_zones.down(','.join(names), zone, pod_zones)
        for pod_zone in ('', *pod_zones):
            self.assertEqual(','.join(names), type_zones.up(value, zone, pod_zone))

    @given(LISTS, NAMES, LISTS)
    def test_cinder_uses_zones_of_the_pod_if_the_type_is_bound_to_its_zone(self, names, zone, pod_zones):
        used = used_by_cinder(type_zones.down(', '.join(names), zone, pod_zones))
        self.assertEqual({*names, *(pod_zones if zone in names else ())}, used)

    def test_value_set_in_pod_is_shown_with_names_of_tenants(self):
        self.assertEqual('az1,other', type_zones.up('nova, other', 'az1', 'nova'))
        self.assertEqual('az1', type_zones.up('nova,other', 'az1', ''))

    def test_each_value_in_document_is_translated_and_others_are_kept(self):
        document = {'volume_types': [{'extra_specs': {type_zones.KEY: 'a', 'b': 'a'}}], type_zones.KEY: 5}
        self.assertEqual(
            {'volume_types': [{'extra_specs': {type_zones.KEY: 'A', 'b': 'a'}}], type_zones.KEY: 5},
            type_zones.replaced(document, str.upper),
        )
