# SPDX-License-Identifier: Apache-2.0
"""Log records whose messages are one line each, and which have a thread only if a format shows it.

Messages contain ids and names that clients sent, and texts of pods. With a line end in one of them its author could
write lines of his own into the log.
"""

from __future__ import annotations

import logging
import re

from oslo_config import cfg

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


def leave_out_threads(conf: cfg.ConfigOpts) -> None:
    """Let records have no thread, if none of the configured formats shows it.

    On eventlet, finding the name of the thread takes a fifth of the time of a log line.
    """
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
