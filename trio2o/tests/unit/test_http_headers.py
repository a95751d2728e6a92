# SPDX-License-Identifier: Apache-2.0
"""Headers are read as the standard library reads them."""

import http.client
import io

import testtools
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trio2o import http_headers

# Parts of which most lines of headers are made, and what the two parsers might read in different ways.
PARTS = st.sampled_from(
    [
        b'Accept',
        b'X-Auth-Token',
        b'x',
        b'From ',
        b':',
        b': ',
        b':\t',
        b' ',
        b'\t',
        b'a b',
        b'"',
        b'=?utf-8?q?a?=',
        b'0',
    ]
    + [bytes([code]) for code in (*range(33), *range(127, 162), 0xFF)]
)
LINES = st.lists(PARTS | st.binary(max_size=4), max_size=6).map(b''.join)
USUAL = st.tuples(
    st.from_regex(rb'[!#-\'*+.0-9A-Z^-z|~-]{1,8}', fullmatch=True),
    st.binary(max_size=8).filter(lambda v: b'\n' not in v),
).map(lambda pair: pair[0] + b': ' + pair[1])
ENDS = st.sampled_from([b'\r\n', b'\r\n', b'\r\n', b'\n', b'\r', b''])


def read(parse, raw):
    """Return all that a parser makes of headers, and what it leaves to be read."""
    file = io.BytesIO(raw)
    try:
        message = parse(file)
    except http.client.HTTPException as error:
        return type(error), str(error)
    return (
        list(message.raw_items()),
        list(message.items()),
        [type(defect) for defect in message.defects],
        message.get_payload(),
        message.get_unixfrom(),
        file.read(),
    )


class TestHttpHeaders(testtools.TestCase):
    @settings(max_examples=400)
    @given(st.lists(st.tuples(LINES | USUAL, ENDS), max_size=6), st.sampled_from([b'\r\n', b'\n', b'', b'\r\nbody']))
    @example([(b'a: b', b'\r\n'), (b' folded', b'\r\n')], b'\r\n')
    @example([(b'a : b', b'\r\n'), (b'b: c', b'\r\n')], b'\r\n')
    @example([(b'a: \x85b', b'\r\n')], b'\r\n')
    @example([(b'no colon', b'\r\n'), (b'b: c', b'\r\n')], b'\r\n')
    def test_headers_are_read_as_standard_library_reads_them(self, lines, end):
        raw = b''.join(line + ending for line, ending in lines) + end
        self.assertEqual(read(STANDARD, raw), read(http_headers.parse, raw))

    def test_usual_headers_need_no_parser_of_emails(self):
        raw = b'Host: a\r\nX-Auth-Token: b \r\nX-Name: \xe4\r\nEmpty:\r\n\r\n'
        parser = http_headers.email.parser.Parser
        self.addCleanup(setattr, http_headers.email.parser, 'Parser', parser)
        http_headers.email.parser.Parser = None
        self.assertEqual(
            [('Host', 'a'), ('X-Auth-Token', 'b '), ('X-Name', 'ä'), ('Empty', '')],
            list(http_headers.parse(io.BytesIO(raw)).items()),
        )

    def test_too_many_headers_are_an_error(self):
        raw = b'a: b\r\n' * 101 + b'\r\n'
        self.assertEqual(read(STANDARD, raw), read(http_headers.parse, raw))


def standard_parser():
    """Return the parser of the standard library, although this process may use the other one."""
    import importlib.util

    spec = importlib.util.find_spec('http.client')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def parse(file):
        try:
            return module.parse_headers(file, _class=http.client.HTTPMessage)
        except module.HTTPException as error:
            raise getattr(http.client, type(error).__name__)(*error.args) from None

    return parse


STANDARD = standard_parser()
