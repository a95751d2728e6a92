# SPDX-License-Identifier: Apache-2.0
"""The worked examples for contributors apply to the tree, and the tree with them keeps its rules."""

import configparser
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys

import fixtures
import testtools

from trio2o.tests.fixtures.pages import DOCS

CHECKOUT = DOCS.parents[1]
#: The rules that a change of the examples' kinds has to keep, and a test that they add: below trio2o.tests.unit.
TESTS = (
    'test_docs.TestCompleteness',
    'test_packaging.TestEntryPoints.test_each_plugin_has_an_entry_point',
    'test_packaging.TestEntryPoints.test_job_types_equal_entry_points',
    'test_packaging.TestEntryPoints.test_trio2o_jobs_count_servers',
    'test_packaging.TestTree',
    'cinder_apigw.test_operations',
    'scheduler.test_manager.TestDatacenter',
)


class TestExamples(testtools.TestCase):
    """A copy of the tree, with the examples that it does not contain."""

    def setUp(self):
        super().setUp()
        self.tool = renew_examples()
        self.top = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def run_in_copy(self, *command):
        environment = {**os.environ, 'PYTHONPATH': str(self.top), 'XDG_CACHE_HOME': str(self.top / 'build')}
        done = subprocess.run(
            command, cwd=self.top, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def copy(self):
        listed = self.tool.git(CHECKOUT, 'ls-files', '-z', '--cached', '--others', '--exclude-standard').stdout
        for name in filter(None, listed.split('\0')):
            if (CHECKOUT / name).is_file():
                (self.top / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(CHECKOUT / name, self.top / name)
        self.run_in_copy('git', 'init', '--quiet')

    def install(self):
        """Write the entry points, as an installation from the copy would."""
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(self.top / 'setup.cfg')
        groups = [f'[{group}]{lines}' for group, lines in parser['entry_points'].items()]
        folder = self.top / 'trio2o.egg-info'
        folder.mkdir()
        (folder / 'PKG-INFO').write_text('Metadata-Version: 2.1\nName: trio2o\nVersion: 0\n')
        (folder / 'entry_points.txt').write_text('\n'.join(groups))

    def test_each_diff_applies(self):
        problems = {path.name: self.tool.problem(CHECKOUT, path) for path in (CHECKOUT / self.tool.EXAMPLES).iterdir()}
        wrong = {name: problem for name, problem in problems.items() if problem}
        self.assertEqual({}, wrong, 'tools/renew_examples.py writes them again')

    def test_tree_with_the_examples_keeps_the_rules(self):
        self.copy()
        paths = [path for path in (self.top / self.tool.EXAMPLES).iterdir() if not self.tool.reverse(path)]
        self.run_in_copy('git', 'apply', *map(str, paths))
        changed = {
            name for path in paths for name in re.findall(r'^\+\+\+ b/(.*\.py)$', path.read_text(), re.MULTILINE)
        }
        ruff = pathlib.Path(sys.executable).with_name('ruff')
        self.run_in_copy(ruff, 'check', *changed)
        self.run_in_copy(ruff, 'format', '--check', *changed)
        self.install()
        self.run_in_copy(sys.executable, '-m', 'testtools.run', *(f'trio2o.tests.unit.{name}' for name in TESTS))


def renew_examples():
    """Load tools/renew_examples.py."""
    spec = importlib.util.spec_from_file_location('renew_examples', CHECKOUT / 'tools' / 'renew_examples.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


class TestRenewExamples(testtools.TestCase):
    """A repository whose file ``a`` has ten lines, and a diff that inserts a line after the fifth."""

    def setUp(self):
        super().setUp()
        self.tool = renew_examples()
        self.top = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.git('init', '--quiet')
        self.write(*range(10))
        self.git('add', 'a')
        self.git('commit', '--quiet', '--message', 'Add a')
        self.write(*range(5), 'new', *range(5, 10))
        self.diff = self.top / 'new.diff'
        self.diff.write_text(self.git('diff', '-U2'))
        self.git('checkout', '--quiet', 'a')

    def git(self, *arguments):
        identity = ('-c', 'user.name=test', '-c', 'user.email=test@example.org')
        command = ['git', *identity, *arguments]
        return subprocess.run(command, cwd=self.top, capture_output=True, text=True, check=True).stdout

    def write(self, *lines):
        (self.top / 'a').write_text(''.join(f'line {line}\n' for line in lines))

    def test_context_changed_and_diff_is_renewed(self):
        self.write(*range(3), 'other', *range(4, 10))
        self.assertIn('patch does not apply', self.tool.problem(self.top, self.diff))
        self.assertEqual('', self.tool.renew(self.top, self.diff))
        self.assertEqual('', self.tool.problem(self.top, self.diff))
        self.assertEqual(
            [' line other', ' line 4', '+line new', ' line 5', ' line 6'], self.diff.read_text().splitlines()[-5:]
        )

    def test_diff_of_an_applied_change_reads_forwards(self):
        self.write(*range(5), 'new', *range(5, 10))
        self.git('commit', '--quiet', '--all', '--message', 'Insert a line')
        self.write(*range(3), 'other', 4, 'new', *range(5, 10))
        self.patch(self.tool, 'APPLIED', ('new.diff',))
        self.assertNotEqual('', self.tool.problem(self.top, self.diff))
        self.assertEqual('', self.tool.renew(self.top, self.diff))
        self.assertEqual('', self.tool.problem(self.top, self.diff))
        self.assertIn('--- a/a\n+++ b/a\n', self.diff.read_text())
        self.assertIn('\n+line new\n', self.diff.read_text())

    def test_line_inserted_at_the_same_place_and_both_are_kept(self):
        before = self.diff.read_text()
        for lines, merged in (
            ((*range(5), 'theirs', *range(5, 10)), (' line 4', '+line new', ' line theirs', ' line 5')),
            ((*range(4), 'theirs', *range(5, 10)), (' line 3', ' line theirs', '+line new', ' line 5')),
            ((*range(5), 'theirs', *range(6, 10)), (' line 4', '+line new', ' line theirs', ' line 6')),
        ):
            self.diff.write_text(before)
            self.write(*lines)
            self.assertNotEqual('', self.tool.problem(self.top, self.diff))
            self.assertEqual('', self.tool.renew(self.top, self.diff))
            self.assertEqual('', self.tool.problem(self.top, self.diff))
            self.assertIn('\n'.join(merged), self.diff.read_text())

    def test_same_line_changed_and_the_conflict_is_left_to_the_caller(self):
        before = self.diff.read_text()
        self.write(*range(4), 'theirs', *range(6, 10))
        self.assertIn('Resolve the conflicts in', self.tool.renew(self.top, self.diff))
        self.assertEqual(before, self.diff.read_text())
        self.assertIn('<<<<<<<', (self.top / 'build' / 'examples' / 'new' / 'a').read_text())
