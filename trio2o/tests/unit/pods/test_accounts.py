# SPDX-License-Identifier: Apache-2.0
"""The policies that the documentation gives to a pod with an account of its own, read by Nova's and Cinder's code."""

import importlib
import pathlib
import re

import testtools
import yaml
from oslo_config import cfg
from oslo_policy import policy

PAGE = pathlib.Path(__file__).parents[4] / 'doc' / 'source' / 'admin' / 'security.rst'

OWN, OTHER = ('trio2o_pod2', 'service'), ('trio2o_pod1', 'service')


def documented(service):
    """The rules for a service's policy.yaml."""
    text = PAGE.read_text()
    (block,) = re.findall(rf'/etc/{service}/policy.yaml``\):\n\n.. code-block:: yaml\n\n((?: +.*\n)+)', text)
    return yaml.safe_load(block)


class TestDocumentedPolicies(testtools.TestCase):
    def allowed(self, service, roles, rules):
        """Names of the rules that allow a caller with some roles an operation in another project."""
        enforcer = policy.Enforcer(cfg.ConfigOpts(), use_conf=True)
        enforcer.conf([], project=service)
        enforcer.suppress_deprecation_warnings = True
        defaults = list(importlib.import_module(f'{service}.policies').list_rules())
        enforcer.register_defaults(defaults)
        enforcer.load_rules()
        enforcer.set_rules(policy.Rules.from_dict(rules), overwrite=False, use_conf=False)
        caller = {'roles': list(roles), 'project_id': 'p', 'user_id': 'u', 'is_admin_project': True}
        target = {'project_id': 'q', 'user_id': 'v', 'domain_id': 'd'}
        # As both services do for each request.
        caller['is_admin'] = enforcer.enforce('context_is_admin', target, caller)
        return {rule.name for rule in defaults if enforcer.enforce(rule.name, target, caller)}

    def test_account_has_the_rights_of_an_administrator_in_its_pod_and_no_more_than_a_service_in_others(self):
        for service in ('nova', 'cinder'):
            rules = documented(service)
            admin = self.allowed(service, ('admin', 'service'), rules)
            self.assertEqual(admin, self.allowed(service, OWN, rules))
            of_service = self.allowed(service, ('service',), {})
            self.assertLess(len(of_service), len(admin) / 2)
            self.assertEqual(of_service, self.allowed(service, OWN, {}))
            self.assertEqual(of_service, self.allowed(service, OTHER, rules))
