# SPDX-License-Identifier: Apache-2.0
"""The shell of the DevStack plug-in, and of the scripts that replace DevStack in tests."""

import pathlib
import re
import subprocess
import sys

import testtools

TOP = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(sys.executable).parent
PLUGIN = [TOP / 'devstack' / name for name in ('plugin.sh', 'settings', 'override-defaults')]
SUBSTITUTE = sorted((TOP / 'trio2o' / 'tests' / 'devstack').glob('*.sh'))
FUNCTION = re.compile(r'^function (\w+)', re.MULTILINE)


def output(*command):
    done = subprocess.run([str(part) for part in command], cwd=TOP, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


class TestShell(testtools.TestCase):
    def test_scripts_pass_bashate(self):
        # E005: settings and override-defaults are read, not run. E006: lines of up to 119 characters, as elsewhere.
        self.assertEqual((0, ''), output(BIN / 'bashate', '-i', 'E005,E006', *PLUGIN, *SUBSTITUTE))

    def test_scripts_pass_shellcheck(self):
        self.assertEqual((0, ''), output(BIN / 'shellcheck', '-x', *PLUGIN, *SUBSTITUTE))

    def test_lines_are_short(self):
        for path in (*PLUGIN, *SUBSTITUTE):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                self.assertLessEqual(len(line), 119, f'{path}:{number}')

    def test_functions_have_trio2o_in_their_name(self):
        """DevStack reads all plug-ins into one shell: a name without trio2o may be another's."""
        names = FUNCTION.findall((TOP / 'devstack' / 'plugin.sh').read_text())
        self.assertNotEqual([], names)
        self.assertEqual([], [name for name in names if 'trio2o' not in name])

    def test_samples_set_existing_settings(self):
        settings = (TOP / 'devstack' / 'settings').read_text()
        for sample in (TOP / 'devstack').glob('local.conf.*'):
            own = set(re.findall(r'^(TRIO2O_\w+|POD_\w+)=', sample.read_text(), re.MULTILINE)) - {'TRIO2O_NODE_IP'}
            self.assertNotEqual(set(), own)
            self.assertEqual([], [name for name in own if f'{name}=${{{name}:-' not in settings], sample)
