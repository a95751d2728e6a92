# SPDX-License-Identifier: Apache-2.0
"""Log records whose messages are one line each, and lines that are made of them in less time than by oslo.log.

Messages contain ids and names that clients sent, and texts of pods. With a line end in one of them its author could
write lines of his own into the log.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from oslo_config import cfg
from oslo_context import context
from oslo_log import formatters

#: Control characters, and the other characters that some programs take for the end of a line.
_NOT_PRINTED = re.compile('[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]')


class OneLineRecord(logging.LogRecord):
    """A record that shows control characters in its message as escapes. Tracebacks keep their lines."""

    def getMessage(self) -> str:
        return _NOT_PRINTED.sub(_escaped, super().getMessage())


def _escaped(found: re.Match[str]) -> str:
    return found.group().encode('unicode_escape').decode()


def install() -> None:
    """Let all loggers of the process make such records."""
    logging.setLogRecordFactory(OneLineRecord)


class LineFormatter(formatters.ContextFormatter):
    """Formats records as oslo.log does; usual ones, of which each request has one, in a third of the time.

    The formatter of oslo.log asks the context for its values several times, and finds the time in a form that the
    default formats do not show. Usual records are those at INFO without a traceback or values of their own.
    """

    def __init__(self, other: formatters.ContextFormatter) -> None:
        super().__init__(datefmt=other.datefmt, project=other.project, version=other.version, config=other.conf)
        self._identity: str = other.conf.logging_user_identity_format
        self._formats: tuple[str, str] = (
            other.conf.logging_default_format_string,
            other.conf.logging_context_format_string,
        )

    def format(self, record: logging.LogRecord) -> str:
        is_usual = record.levelno == logging.INFO and not record.exc_info and not record.stack_info
        if is_usual and len(record.__dict__) == _FIELDS:
            try:
                return self._line(record)
            except (KeyError, TypeError, ValueError):  # the format shows something else, or is wrong
                pass
        return super().format(record)

    def _line(self, record: logging.LogRecord) -> str:
        current = context.get_current()
        values = current.get_logging_values() if current else {}
        line = self._formats[bool(values.get('request_id'))]
        shown = {'project': self.project, 'version': self.version, **_DEFAULTS, **record.__dict__, **values}
        if current:
            shown['user_identity'] = self._identity % _OrDash(values)
        shown['message'] = record.getMessage()
        if '%(asctime)' in line:
            shown['asctime'] = self.formatTime(record, self.datefmt)
        return line % shown


class _OrDash(dict[str, Any]):
    def __getitem__(self, name: str) -> Any:
        return self.get(name) or '-'


#: What formats show of a record without such a value.
_DEFAULTS = {
    **dict.fromkeys(('instance', 'color', 'user_identity', 'resource', 'user_name', 'project_name'), ''),
    'global_request_id': '',
    'error_summary': '-',
}
#: Number of fields of a record to which nothing was added.
_FIELDS = len(OneLineRecord('', 0, '', 0, '', (), None).__dict__)


def tune(conf: cfg.ConfigOpts) -> None:
    """Make lines cheaper, after ``oslo_log.log.setup``.

    Records have no thread if none of the configured formats shows it: on eventlet, finding its name takes long.
    """
    for handler in logging.getLogger().handlers:
        if type(handler.formatter) is formatters.ContextFormatter:
            handler.setFormatter(LineFormatter(handler.formatter))
    # Formatters for JSON and for journald show the thread, and a file of the operator may name any formatter.
    is_shown = conf.use_json or conf.use_journal or bool(conf.log_config_append)
    logging.logThreads = is_shown or any('%(thread' in str(conf[name]) for name in _FORMATS)


#: Options with formats of lines.
_FORMATS = (
    'logging_context_format_string',
    'logging_debug_format_suffix',
    'logging_default_format_string',
    'logging_exception_prefix',
    'logging_user_identity_format',
)
