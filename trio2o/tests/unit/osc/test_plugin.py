# SPDX-License-Identifier: Apache-2.0
"""Each start of ``openstack`` imports the plug-in, which must not import services or their libraries."""

import json
import subprocess
import sys

import testtools

#: Libraries of the services, which a client does not need.
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
#: Modules that the client has imported before it loads plug-ins do not count.
LIST = (
    'import json, sys, keystoneauth1.adapter, osc_lib.command.command, osc_lib.utils; known = set(sys.modules); '
    'import {}; print(json.dumps(sorted(sys.modules.keys() - known)))'
)


def imported_by(*modules):
    code = LIST.format(', '.join(modules))
    printed = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(printed.stdout))


class TestImports(testtools.TestCase):
    def test_plugin_imports_no_library_of_services(self):
        found = imported_by('trio2o.osc', 'trio2o.osc.plugin')
        self.assertEqual(set(), {name.split('.')[0] for name in found} & HEAVY)
        ours = {name for name in found if name.startswith('trio2o')}
        self.assertEqual({'trio2o', 'trio2o.osc', 'trio2o.osc.plugin'}, ours)

    def test_commands_import_no_library_of_services(self):
        names = ('pod', 'binding', 'routing', 'claim', 'move', 'job', 'replica', 'usage')
        found = imported_by(*(f'trio2o.osc.v1.{name}' for name in names))
        self.assertEqual(set(), {name.split('.')[0] for name in found} & HEAVY)
        ours = {
            name for name in found if name.startswith('trio2o.') and not name.startswith(('trio2o.osc', 'trio2o.sdk'))
        }
        self.assertEqual(set(), ours)
