# SPDX-License-Identifier: Apache-2.0
"""Collections that find keys as MySQL does."""

import copy

import testtools

from trio2o.lab.emulated.collation import CaseInsensitiveDict, collection


class TestCollation(testtools.TestCase):
    def test_case_and_trailing_blanks_are_ignored(self):
        names = CaseInsensitiveDict()
        names[('u', 'Foo')] = 1
        names[('u', 'foo ')] = 2
        self.assertEqual({('u', 'Foo'): 2}, names)
        self.assertIn(('u', 'FOO'), names)
        self.assertEqual((2, 2, None), (names['u', 'fOO'], names.get(('u', 'foo')), names.get(('u', ' foo'))))
        self.assertEqual({('u', 'Foo'): 2}, copy.deepcopy(names))
        del names['u', 'foo']
        self.assertEqual(0, len(names))
        self.assertEqual(7, names.pop('x', 7))

    def test_case_is_kept_if_service_keeps_it(self):
        names = collection(ignores_case=False)
        names['Foo'] = 1
        self.assertNotIn('foo', names)
