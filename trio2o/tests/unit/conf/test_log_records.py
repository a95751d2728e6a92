# SPDX-License-Identifier: Apache-2.0
"""Records carry what the configured formats show."""

import logging

import fixtures
import testtools

from trio2o import conf as trio2o_conf
from trio2o.conf import log_records


class TestThreads(testtools.TestCase):
    def is_shown(self, **options):
        self.useFixture(fixtures.MonkeyPatch('logging.logThreads', True))
        conf = trio2o_conf.new_config([], [])
        for name, value in options.items():
            conf.set_override(name, value)
        log_records.leave_out_threads(conf)
        made = logging.getLogRecordFactory()('x', logging.INFO, 'x', 1, 'x', (), None)
        return made.threadName is not None

    def test_default_formats_show_no_thread(self):
        self.assertFalse(self.is_shown())

    def test_format_with_thread_shows_it(self):
        for name in ('thread', 'threadName'):
            self.assertTrue(self.is_shown(logging_default_format_string=f'%({name})s %(message)s'))

    def test_json_and_other_formats_may_show_it(self):
        self.assertTrue(self.is_shown(use_json=True))
        self.assertTrue(self.is_shown(log_config_append='/etc/trio2o/logging.conf'))
