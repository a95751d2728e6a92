# SPDX-License-Identifier: Apache-2.0
"""The path of a request, as the access log writes it."""

import time

import hypothesis
import testtools
from hypothesis import strategies as st

from trio2o.web.middleware.access_log import path_of


def path(path_info, query=''):
    return path_of({'PATH_INFO': path_info, 'QUERY_STRING': query})


class TestPath(testtools.TestCase):
    def test_path_and_query_are_logged(self):
        self.assertEqual('/v2.1/servers?limit=3&name=a%20b', path('/v2.1/servers', 'limit=3&name=a%20b'))

    def test_secrets_in_query_are_masked(self):
        for name in ('token', 'X-Auth-Token', 'password', 'client_secret', 'temp_url_signature'):
            shown = path('/x', f'a=1&{name}=hush&b=2')
            self.assertNotIn('hush', shown)
            self.assertEqual(f'/x?a=1&{name}=***&b=2', shown)

    def test_secret_with_escaped_name_is_masked(self):
        self.assertEqual('/x?%74oken=***', path('/x', '%74oken=hush'))

    def test_token_in_path_is_masked(self):
        for prefix in ('/v2.1', '/v2.1/f00d'):
            self.assertEqual(f'{prefix}/os-console-auth-tokens/***', path(f'{prefix}/os-console-auth-tokens/hush'))

    def test_long_texts_are_shortened_in_linear_time(self):
        for query in ('token' * 12800, '&' * 64000, 'token=' * 10000, '%' * 64000):
            started = time.process_time()
            shown = path('/x' * 30000, query)
            self.assertLess(time.process_time() - started, 0.2)
            self.assertLess(len(shown), 2100)

    @hypothesis.given(st.text(st.characters(max_codepoint=255)), st.text(st.characters(max_codepoint=255)))
    def test_logged_path_is_one_line(self, path_info, query):
        shown = path(path_info, query)
        self.assertTrue(shown.isascii())
        self.assertEqual([], [character for character in shown if character < ' ' or character in '"\x7f'])
