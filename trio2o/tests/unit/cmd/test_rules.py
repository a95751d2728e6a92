# SPDX-License-Identifier: Apache-2.0
"""The policy rules of all services."""

import testtools

from trio2o.cmd import rules


class TestRules(testtools.TestCase):
    def test_rule_names_are_unique_and_cover_all_services(self):
        names = [rule.name for rule in rules.list_rules()]
        self.assertEqual(sorted(set(names)), sorted(names))
        self.assertEqual({'api', 'nova_apigw', 'cinder_apigw'}, {name.split(':')[0] for name in names})

    def test_enforcer_applies_rules_of_admin_api(self):
        enforcer = rules.get_enforcer()
        enforcer.load_rules()
        self.assertIn('api:pods.create', enforcer.rules)
        for roles, may_look in (
            (['admin', 'member', 'reader'], True),
            (['member', 'reader'], False),
            (['reader'], False),
            ([], False),
        ):
            self.assertEqual(may_look, enforcer.enforce('api:pods.list', {}, {'roles': roles}), roles)
            self.assertEqual('admin' in roles, enforcer.enforce('api:pods.create', {}, {'roles': roles}), roles)
        system_reader = {'roles': ['member', 'reader'], 'system_scope': 'all'}
        self.assertTrue(enforcer.enforce('api:pods.list', {}, system_reader))
