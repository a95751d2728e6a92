# SPDX-License-Identifier: Apache-2.0
"""A quick parser of the headers of HTTP requests and answers, for the standard library's ``http.client``.

``http.client`` reads headers with the parser of emails. For the headers of the client and those of the pod together,
it takes a fifth of the time of a request. ``http.server`` (eventlet's server) uses it, too, without a hook for another
parser.
"""

import email.parser
import http.client
import re
from typing import Any

from trio2o import compat

# A header on one line, of characters that mean nothing to the parser of emails. It keeps blanks at the end of a value.
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\xa0-\xff]*)\r\n")
_END = b'\r\n'


def install() -> None:
    """Let this process read headers with ``parse``."""
    http.client.parse_headers = parse  # type: ignore[assignment]


def parse(fp: Any, _class: type[http.client.HTTPMessage] = http.client.HTTPMessage) -> http.client.HTTPMessage:
    """Read headers as ``http.client.parse_headers`` does, with its results and errors.

    Headers of unusual forms are left to the parser of emails.
    """
    lines = compat.read_header_lines(fp)
    message = _class()
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is not None:
            message.set_raw(header[1].decode('ascii'), header[2].decode('latin-1'))
        elif line is not lines[-1] or line != _END:
            return email.parser.Parser(_class=_class).parsestr(b''.join(lines).decode('latin-1'))
    message.set_payload('')
    return message
