# SPDX-License-Identifier: Apache-2.0
"""Every start of ``openstack`` imports the plug-in: that must cost nothing, and drag in no service."""

import json
import subprocess
import sys

import testtools

#: What a client needs not: the services and what they stand on.
HEAVY = {
    'alembic',
    'cinderclient',
    'eventlet',
    'jsonschema',
    'keystonemiddleware',
    'novaclient',
    'oslo_db',
    'oslo_messaging',
    'oslo_service',
    'pecan',
    'prometheus_client',
    'sqlalchemy',
    'webob',
}
#: What the stock client has imported before it looks for plug-ins counts for itself.
LIST = (
    'import json, sys, keystoneauth1.adapter, osc_lib.command.command, osc_lib.utils; known = set(sys.modules); '
    'import {}; print(json.dumps(sorted(sys.modules.keys() - known)))'
)


def imported_by(*modules):
    code = LIST.format(', '.join(modules))
    printed = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(printed.stdout))


class TestImports(testtools.TestCase):
    def test_the_plugin(self):
        found = imported_by('trio2o.osc', 'trio2o.osc.plugin')
        self.assertEqual(set(), {name.split('.')[0] for name in found} & HEAVY)
        ours = {name for name in found if name.startswith('trio2o')}
        self.assertEqual({'trio2o', 'trio2o.osc', 'trio2o.osc.plugin'}, ours)

    def test_the_commands(self):
        names = ('pod', 'binding', 'routing', 'job', 'replica', 'usage')
        found = imported_by(*(f'trio2o.osc.v1.{name}' for name in names))
        self.assertEqual(set(), {name.split('.')[0] for name in found} & HEAVY)
        ours = {
            name for name in found if name.startswith('trio2o.') and not name.startswith(('trio2o.osc', 'trio2o.sdk'))
        }
        self.assertEqual(set(), ours)
