# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of the dashboard: a client that keeps cookies, without a browser or a socket."""

import re
from urllib.parse import urlencode, urlsplit

import testtools

from trio2o.tests.fixtures.cloud import GatewayFixture

ROOT = 'http://gateway.test:19996'


class Visitor:
    """A client that keeps cookies and follows redirects.

    :param headers: to send with each request, as a proxy adds them
    """

    def __init__(self, api, root=ROOT, headers=()):
        self._api = api
        self._root = root
        self._headers = dict(headers)
        self.cookies = {}
        self.asked = []

    def request(self, method, path, form=None, headers=(), follow=True):
        sent = {'Accept': 'text/html', **self._headers, **dict(headers)}
        if self.cookies:
            sent['Cookie'] = '; '.join(f'{name}={value}' for name, value in self.cookies.items())
        body = None
        if form is not None:
            body = form if isinstance(form, bytes) else urlencode(form).encode()
            sent.setdefault('Content-Type', 'application/x-www-form-urlencoded')
        self.asked.append(path)
        answer = self._api.request(method, self._root + path, as_=None, body=body, headers=sent)
        for cookie in answer.headers.get_all('Set-Cookie'):
            name, _equals, value = cookie.partition(';')[0].partition('=')
            self.cookies[name] = value
            if not value:
                del self.cookies[name]
        if answer.status == 303 and follow:
            return self.request('GET', urlsplit(answer.headers['Location']).path, headers=headers)
        return answer

    def get(self, path='', **kwargs):
        return self.request('GET', f'/dashboard{path}', **kwargs)

    def post(self, path, form, **kwargs):
        return self.request('POST', f'/dashboard{path}', form, **kwargs)

    def secret(self):
        """The token in the hidden field of a form."""
        return re.search('name="form" value="([^"]+)"', self.get('/login').text)[1]

    def sign_in(self, user='admin', password='secret', project='admin', **more):
        form = {'form': self.secret(), 'username': user, 'password': password, 'project': project}
        kwargs = {name: more.pop(name) for name in ('follow', 'headers') if name in more}
        return self.post('/login', {**form, **more}, **kwargs)

    def use_token(self, token, **kwargs):
        return self.post('/login', {'form': self.secret(), 'token': token}, **kwargs)


class PageTestCase(testtools.TestCase):
    """``self.visitor`` is not signed in; the dashboard has three emulated pods."""

    options = {}

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(GatewayFixture(pods=3, **self.options))
        self.visitor = Visitor(self.cloud.api)

    def shown(self, answer):
        """The text of a page without tags, with single spaces."""
        self.assertEqual('text/html; charset=utf-8', answer.headers['Content-Type'])
        return ' '.join(re.sub('<[^>]+>', ' ', answer.text).split())
