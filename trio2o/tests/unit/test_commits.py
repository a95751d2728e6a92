# SPDX-License-Identifier: Apache-2.0
"""Each commit message has a subject and a reason."""

import importlib.util
import pathlib
import subprocess

import testtools

TOP = pathlib.Path(__file__).resolve().parents[3]
#: The last commit from before the rule.
BASE = '26646cbd0a'
GOOD = 'Check the length of a marker\n\nA marker of 10 MB took a second to look up.\n'


def load_tool():
    spec = importlib.util.spec_from_file_location('commit_message', TOP / 'tools' / 'commit_message.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def git(*arguments):
    return subprocess.run(['git', *arguments], cwd=TOP, capture_output=True, text=True, check=False)


class TestCommits(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.problems = load_tool().problems

    def test_commits_since_the_rule_conform(self):
        if git('merge-base', '--is-ancestor', BASE, 'HEAD').returncode:
            self.skipTest('no git history here')
        log = git('log', '--no-merges', '--format=%h%n%B%x00', f'{BASE}..HEAD').stdout
        wrong = []
        for entry in filter(None, (entry.strip() for entry in log.split('\0'))):
            commit, message = entry.split('\n', 1)
            wrong += [f'{commit}: {problem}' for problem in self.problems(message)]
        self.assertEqual([], wrong)

    def test_good_message_passes(self):
        self.assertEqual([], self.problems(GOOD))
        self.assertEqual([], self.problems('Merge branch main\n'))
        self.assertEqual([], self.problems('Install packages with uv where settings allow it\n\nBody.\n'))

    def test_bad_messages_are_refused(self):
        for message in (
            '',
            'Check the length of a marker\n',
            'Checked the length of a marker\n\nBody.\n',
            'Checking the length of a marker\n\nBody.\n',
            'check the length of a marker\n\nBody.\n',
            'Check the length of a marker.\n\nBody.\n',
            'Shorten it\n\nBody.\n',
            'Look at it\n\nBody.\n',
            'Check the length of a marker\nBody.\n',
            GOOD + 'word ' * 20 + '\n',
            'Check ' + 'the length ' * 10 + '\n\nBody.\n',
        ):
            self.assertNotEqual([], self.problems(message), message)
