# SPDX-License-Identifier: Apache-2.0
"""The environments of tox.ini contain what tools/venv.sh installs, and run the parts of tools/test.

So what passes in one passes in the other. This replaces a run of tox in a fresh clone, which installs the same
packages once for each environment. With uv, tools/venv.sh installs from where pip's settings say.
"""

import configparser
import importlib.util
import os
import pathlib
import re
import shutil
import sys

import testtools

TOP = pathlib.Path(__file__).resolve().parents[3]
#: Checks the packages of an installation with a program that only this environment installs.
ON_ITS_OWN = {'testenv:audit'}
SCRIPT = '{toxinidir}/tools/test --here '
PROGRAMS = os.path.dirname(sys.executable)


class TestTox(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.tox = configparser.RawConfigParser()
        self.tox.read(TOP / 'tox.ini')
        self.environments = {name for name in self.tox.sections() if name.startswith('testenv:')} - ON_ITS_OWN

    def words(self, option):
        return self.tox['testenv'][option].split()

    def commands(self, name):
        return [line for line in self.tox[name].get('commands', '').splitlines() if line]

    def test_environments_have_the_same_content(self):
        for name in self.environments:
            for option in ('deps', 'extras', 'skip_install', 'usedevelop', 'basepython'):
                self.assertNotIn(option, self.tox[name], name)

    def test_environments_have_content_of_tools_test(self):
        script = (TOP / 'tools' / 'venv.sh').read_text()
        extras, requirements = re.search(
            r"venv_pip --no-build-isolation -e '\.\[(.*)\]' \\\n *((?:-r [\w./-]+ ?)+)", script
        ).groups()
        self.assertEqual(extras.split(','), self.words('extras'))
        files = [word.removeprefix('-r{toxinidir}/') for word in self.words('deps') if word.startswith('-r')]
        self.assertEqual(requirements.replace('-r ', '').split(), files)
        constraints = re.search(r'-c "\$TOP/(\S+)"', script).group(1)
        self.assertIn(f'-c{{env:TOX_CONSTRAINTS_FILE:{{toxinidir}}/{constraints}}}', self.words('deps'))

    def test_commands_run_all_parts_of_tools_test(self):
        script = (TOP / 'tools' / 'test').read_text()
        parts = set(re.findall(r'(?:^part_|\[)([\w-]+)(?:\(\)|\]=)', script, re.MULTILINE))
        run = set()
        for name in ('testenv', *self.environments):
            for command in self.commands(name):
                if command.startswith(SCRIPT):
                    words = command.removeprefix(SCRIPT).partition(' -- ')[0]
                    for backend in ('eventlet', 'threading'):
                        run |= set(words.replace('{env:TRIO2O_TEST_BACKEND:eventlet}', backend).split())
        self.assertEqual(set(), run - parts)
        whole = re.search(r'^ALL_PARTS=\((.*)\)$', script, re.MULTILINE).group(1).split()
        self.assertEqual({'functional'}, set(whole) - run)

    def test_programs_are_installed_or_allowed(self):
        allowed = self.words('allowlist_externals')
        for name in ('testenv', *self.environments):
            for command in self.commands(name):
                program = command.split()[0]
                if program != '{posargs}' and program not in allowed:
                    self.assertIsNotNone(shutil.which(program, path=PROGRAMS), f'{name}: {program}')

    def test_sample_files_are_those_that_the_documentation_builds(self):
        """So the part docs shows that the generators can read them."""
        built = (TOP / 'doc' / 'source' / 'conf.py').read_text()
        for name in ('testenv:genconfig', 'testenv:genpolicy'):
            (command,) = self.commands(name)
            self.assertIn(f"'../../{command.partition('--config-file=')[2]}'", built)


class TestUvSettings(testtools.TestCase):
    def setUp(self):
        super().setUp()
        spec = importlib.util.spec_from_file_location('uv_settings', TOP / 'tools' / 'uv_settings.py')
        self.tool = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.tool)

    def words(self, *lines):
        """The options of uv for lines of ``pip config list``, without those that do not depend on them."""
        return self.tool.words(self.tool.settings(lines))[2:]

    def test_places_of_packages_are_those_of_pip(self):
        lines = (
            "global.index-url='https://one.example/simple'",
            "global.extra-index-url='\\nhttps://two.example/simple\\nhttps://three.example/simple'",
            ":env:.timeout='5'",
        )
        two, three = (('--extra-index-url', f'https://{name}.example/simple') for name in ('two', 'three'))
        self.assertEqual([*two, *three, '--index-url', 'https://one.example/simple'], self.words(*lines))

    def test_variable_replaces_value_of_file(self):
        lines = (":env:.find-links='/here'", "global.find-links='/there'", "download.find-links='/elsewhere'")
        self.assertEqual(['--find-links', '/here'], self.words(*lines))

    def test_setting_that_uv_lacks_is_refused(self):
        self.assertRaises(self.tool.UnknownSetting, self.words, "global.proxy='http://proxy.example'")
        self.assertRaises(self.tool.UnknownSetting, self.words, "install.only-final='nova'")
