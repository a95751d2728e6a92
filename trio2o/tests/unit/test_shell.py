# SPDX-License-Identifier: Apache-2.0
"""The shell of the DevStack plug-in, of the scripts that replace DevStack in tests, and of tools/venv.sh."""

import os
import pathlib
import re
import subprocess
import sys

import fixtures
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


class TestInterpreter(testtools.TestCase):
    """The interpreter that tools/venv.sh makes the virtual environment with."""

    def setUp(self):
        super().setUp()
        self.path = []

    def add(self, name, script):
        """Put a folder with one more interpreter at the end of the path. :returns: the path of the interpreter"""
        folder = self.useFixture(fixtures.TempDir()).path
        self.path.append(folder)
        path = pathlib.Path(folder, name)
        path.write_text(f'#!/bin/sh\n{script}\n')
        path.chmod(0o755)
        return str(path)

    def find(self, **env):
        path = os.pathsep.join([*self.path, '/usr/bin', '/bin'])
        # The interpreters of this machine do not count.
        hide = 'type() { builtin type "$@" | grep -v -E "^(/usr)?/bin/"; }'
        done = subprocess.run(
            ['/bin/bash', '-c', f'. tools/venv.sh; {hide}; find_python'],
            cwd=TOP, capture_output=True, text=True, check=False, env={'PATH': path, **env},
        )  # fmt: skip
        return done.stdout.strip()

    def test_fastest_interpreter_of_oldest_version_is_used(self):
        self.add('python3.11', 'echo 0 0.026')
        fast = self.add('python3.11', 'echo 0 0.009')
        self.add('python3.11', 'echo 0 0.011')
        self.add('python3.12', 'echo 0 0.001')
        self.assertEqual(fast, self.find())

    def test_interpreter_without_ensurepip_is_used_if_there_is_no_other(self):
        lacking = self.add('python3.12', 'echo 1 0.001')
        self.assertEqual(lacking, self.find())
        slow = self.add('python3.12', 'echo 0 0.500')
        self.assertEqual(slow, self.find())

    def test_older_or_broken_interpreter_is_not_used(self):
        self.add('python3.11', 'cat >/dev/null; exit 127')
        self.assertEqual('', self.find())
        good = self.add('python3', 'echo 0 0.1')
        self.assertEqual(good, self.find())

    def test_path_may_contain_blanks_and_interpreter_may_print_more(self):
        blank = os.path.join(self.useFixture(fixtures.TempDir()).path, 'my python')
        os.mkdir(blank)
        wrapper = self.add('python3.11', 'echo starting\necho 0 0.1')
        self.assertEqual(wrapper, self.find())
        os.rename(wrapper, f'{blank}/python3.11')
        self.assertEqual(f'{blank}/python3.11', self.find(TRIO2O_PYTHON=f'{blank}/python3.11'))

    def test_named_interpreter_is_the_only_candidate(self):
        self.add('python3.11', 'echo 0 0.1')
        self.assertEqual(sys.executable, self.find(TRIO2O_PYTHON=sys.executable))
        self.assertEqual('', self.find(TRIO2O_PYTHON='/nowhere/python'))
