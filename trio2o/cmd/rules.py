# SPDX-License-Identifier: Apache-2.0
"""The policy rules of all services, for oslo.policy's generator and validator."""

from __future__ import annotations

import importlib

from oslo_policy import policy

from trio2o import conf as trio2o_conf
from trio2o.web.policies import rules_of

PACKAGES = ('trio2o.api', 'trio2o.nova_apigw', 'trio2o.cinder_apigw')


def list_rules() -> list[policy.RuleDefault]:
    """Every rule with its default, by service and in the order of the rows."""
    return [rule for package in PACKAGES for rule in rules_of(importlib.import_module(package).SERVICE)]


def get_enforcer() -> policy.Enforcer:
    """An enforcer that knows all rules, configured from the usual places."""
    enforcer = policy.Enforcer(trio2o_conf.new_config())
    enforcer.register_defaults(list_rules())
    return enforcer
