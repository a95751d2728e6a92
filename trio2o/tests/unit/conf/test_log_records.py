# SPDX-License-Identifier: Apache-2.0
"""Records carry what the configured formats show."""

import logging

import fixtures
import testtools
from oslo_log import formatters

from trio2o import compat
from trio2o import conf as trio2o_conf
from trio2o.conf import log_records
from trio2o.context import RequestContext


class TestThreads(testtools.TestCase):
    def is_shown(self, **options):
        self.useFixture(fixtures.MonkeyPatch('logging.logThreads', True))
        conf = trio2o_conf.new_config([], [])
        for name, value in options.items():
            conf.set_override(name, value)
        log_records.tune(conf)
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


class TestLines(testtools.TestCase):
    """Lines are those of oslo.log."""

    def setUp(self):
        super().setUp()
        self.conf = trio2o_conf.new_config([], [])
        self.addCleanup(compat.clear_current_context)

    def lines(self, record):
        """Return the lines that oslo.log and that Trio2o makes of a record, which the former changes."""
        other = formatters.ContextFormatter(project='trio2o', version='1', config=self.conf)
        line = log_records.LineFormatter(other).format(record)
        return other.format(record), line

    def record(self, level=logging.INFO, text='%s is\n%s', args=('a', 'b'), **extra):
        made = logging.getLogRecordFactory()('trio2o.x', level, 'x.py', 1, text, args, None)
        made.__dict__.update(extra)
        return made

    def contexts(self):
        compat.clear_current_context()
        yield None
        for fields in ({}, {'global_request_id': 'req-g', 'user_name': 'u'}, {'user_id': 'u', 'project_id': 'p'}):
            yield RequestContext(auth_token='secret', overwrite=True, **fields)

    def test_lines_are_those_of_oslo_log(self):
        formats = (
            None,
            '%(isotime)s %(message)s',
            '%(project)s %(project_id)s %(project_name)s|%(user_name)s|%(color)s%(resource)s%(error_summary)s',
            '%(name)s %(pathname)s %(lineno)d %(threadName)s %(version)s %(auth_token)s %(is_admin)s',
        )
        for shown in formats:
            if shown is not None:
                self.conf.set_override('logging_context_format_string', shown)
                self.conf.set_override('logging_user_identity_format', '%(user)s %(project)s %(nothing)s')
            for _context in self.contexts():
                for record in (
                    self.record(),
                    self.record(logging.DEBUG),
                    self.record(logging.WARNING),
                    self.record(instance='i'),
                    self.record(resource='r'),
                ):
                    self.assertEqual(*self.lines(record))

    def test_usual_line_does_not_need_oslo_log(self):
        self.useFixture(fixtures.MonkeyPatch('oslo_log.formatters.ContextFormatter.format', None))
        formatter = log_records.LineFormatter(formatters.ContextFormatter(config=self.conf))
        RequestContext(request_id='req-1', overwrite=True)
        self.assertIn('req-1', formatter.format(self.record()))

    def test_formatter_of_oslo_log_is_replaced(self):
        handler = logging.StreamHandler()
        handler.setFormatter(formatters.ContextFormatter(config=self.conf, datefmt='%Y'))
        self.useFixture(fixtures.MonkeyPatch('logging.logThreads', True))
        self.useFixture(fixtures.MonkeyPatch('logging.root.handlers', [handler]))
        log_records.tune(self.conf)
        self.assertIsInstance(handler.formatter, log_records.LineFormatter)
        self.assertEqual('%Y', handler.formatter.datefmt)
