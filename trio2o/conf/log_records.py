# SPDX-License-Identifier: Apache-2.0
"""Log records whose messages are one line each.

Messages contain ids and names that clients sent, and texts of pods. With a line end in one of them its author could
write lines of his own into the log.
"""

from __future__ import annotations

import logging
import re

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
