# SPDX-License-Identifier: Apache-2.0
"""The environments of tox.ini hold what tools/venv.sh installs, and run the parts of tools/test.

So what passes in one passes in the other.
"""

import configparser
import pathlib
import re

import testtools

TOP = pathlib.Path(__file__).resolve().parents[3]
#: Looks at what an installation would hold, by a program of its own.
ON_ITS_OWN = {'testenv:audit'}
SCRIPT = '{toxinidir}/tools/test --here '


class TestTox(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.tox = configparser.RawConfigParser()
        self.tox.read(TOP / 'tox.ini')
        self.environments = {name for name in self.tox.sections() if name.startswith('testenv:')} - ON_ITS_OWN

    def words(self, option):
        return self.tox['testenv'][option].split()

    def test_each_environment_has_the_same_content(self):
        for name in self.environments:
            for option in ('deps', 'extras', 'skip_install', 'usedevelop', 'basepython'):
                self.assertNotIn(option, self.tox[name], name)

    def test_content_is_that_of_the_environment_of_tools_test(self):
        script = (TOP / 'tools' / 'venv.sh').read_text()
        extras, requirements = re.search(
            r"venv_pip --no-build-isolation -e '\.\[(.*)\]' \\\n *((?:-r [\w./-]+ ?)+)", script
        ).groups()
        self.assertEqual(extras.split(','), self.words('extras'))
        files = [word.removeprefix('-r{toxinidir}/') for word in self.words('deps') if word.startswith('-r')]
        self.assertEqual(requirements.replace('-r ', '').split(), files)
        constraints = re.search(r'-c "\$TOP/(\S+)"', script).group(1)
        self.assertIn(f'-c{{env:TOX_CONSTRAINTS_FILE:{{toxinidir}}/{constraints}}}', self.words('deps'))

    def test_commands_are_parts(self):
        script = (TOP / 'tools' / 'test').read_text()
        parts = set(re.findall(r'(?:^part_|\[)([\w-]+)(?:\(\)|\]=)', script, re.MULTILINE))
        run = set()
        for name in ('testenv', *self.environments):
            for command in self.tox[name].get('commands', '').splitlines():
                if command.startswith(SCRIPT):
                    words = command.removeprefix(SCRIPT).partition(' -- ')[0]
                    for backend in ('eventlet', 'threading'):
                        run |= set(words.replace('{env:TRIO2O_TEST_BACKEND:eventlet}', backend).split())
        self.assertEqual(set(), run - parts)
        whole = re.search(r'^ALL_PARTS=\((.*)\)$', script, re.MULTILINE).group(1).split()
        self.assertEqual({'functional'}, set(whole) - run)
