# SPDX-License-Identifier: Apache-2.0
"""The number of files that a process may have open."""

import subprocess
import sys

import fixtures
import testtools

from trio2o.pods import open_files


class TestLimit(testtools.TestCase):
    def test_soft_limit_is_raised_to_the_hard_one(self):
        program = (
            'import resource; from trio2o.pods import open_files; '
            'resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4096)); '
            'print(open_files.limit(), resource.getrlimit(resource.RLIMIT_NOFILE))'
        )
        printed = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True).stdout
        self.assertEqual('4096 (4096, 4096)', printed.strip())


class TestWarning(testtools.TestCase):
    def warning(self, limit, endpoints):
        self.useFixture(fixtures.MonkeyPatch('trio2o.pods.open_files.limit', lambda: limit))
        return open_files.warning(endpoints)

    def test_limit_is_high_enough(self):
        self.assertEqual('', self.warning(1024, 6))
        self.assertEqual('', self.warning(65536, 3000))

    def test_limit_is_too_low_and_text_names_the_one_needed(self):
        text = self.warning(4096, 3000)
        self.assertIn('may open 4096 files, and needs 12512 for 3000 endpoints', text)
        self.assertIn('LimitNOFILE', text)

    def test_more_is_not_wanted_than_a_process_plans_with(self):
        self.assertEqual('', self.warning(1 << 17, 10**6))
