# SPDX-License-Identifier: Apache-2.0
"""The request of a browser, and the response to it, as pecan passes them to controllers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pecan
from webob.exc import HTTPBadRequest
from webob.multidict import MultiDict

from trio2o.dashboard import session
from trio2o.dashboard.session import Session
from trio2o.web.numbers import parse_number
from trio2o.web.request_state import RequestState

PREFIX = '/dashboard'

_MAX_FORM_BYTES = 16384
_MAX_FIELDS = 20

_SECURITY_HEADERS = {
    'Cache-Control': 'no-store',
    'Content-Security-Policy': (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
}


class Request(pecan.Request):
    """The request of a browser.

    The class attributes switch off features of pecan and webob: a page is HTML whatever ``Accept`` says, query and
    body do not become arguments (pecan would read a body of any length for that), and no path is malformed.
    """

    accept = json = None
    GET = params = MultiDict()
    url_encoding = 'latin-1'

    @cached_property
    def session(self) -> Session:
        return Session.of(self.environ)

    @property
    def is_https(self) -> bool:
        """Whether the browser uses TLS, as far as it is known: a proxy may terminate it."""
        return RequestState.of(self.environ).is_https

    @property
    def root(self) -> str:
        """``PREFIX`` as the browser knows it: a proxy may serve it below another path."""
        return urlsplit(self._base_url).path.rstrip('/') + PREFIX

    @property
    def query(self) -> dict[str, str]:
        """The fields of the query.

        :raises HTTPBadRequest: there are too many
        """
        try:
            return dict(parse_qsl(self.query_string, max_num_fields=_MAX_FIELDS))
        except ValueError as error:
            raise HTTPBadRequest() from error

    @cached_property
    def form(self) -> dict[str, str]:
        """The fields of the form in the body.

        :raises HTTPBadRequest: the body is no form, or is too long
        """
        kind = self.environ.get('CONTENT_TYPE', '').partition(';')[0].strip().lower()
        length = parse_number(self.environ.get('CONTENT_LENGTH') or '')
        if kind != 'application/x-www-form-urlencoded' or length is None or length > _MAX_FORM_BYTES:
            raise HTTPBadRequest()
        try:
            body = self.environ['wsgi.input'].read(length).decode()
            return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=_MAX_FIELDS))
        except (OSError, ValueError) as error:
            raise HTTPBadRequest() from error

    @property
    def is_same_origin(self) -> bool:
        """Whether the form was on a page of the dashboard, as the browser says; older ones name only the origin."""
        site = self.environ.get('HTTP_SEC_FETCH_SITE')
        if site is not None:
            return bool(site == 'same-origin')
        origin = self.environ.get('HTTP_ORIGIN')
        if origin is None:
            return True
        # A proxy may call this service by another name than browsers do.
        names = {self.environ.get('HTTP_HOST', ''), urlsplit(self._base_url).netloc} - {''}
        try:
            return urlsplit(origin).netloc in names
        except ValueError:
            return False

    def cookie(self, name: str, value: str) -> tuple[str, str]:
        """A header that sets a cookie of the dashboard."""
        return session.cookie(name, value, self.root, self.is_https)

    @property
    def _base_url(self) -> str:
        return RequestState.of(self.environ).base_url


class Response(pecan.Response):
    """A response with the security headers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.headers.update(_SECURITY_HEADERS)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Send the headers as they are: webob would add a host to ``Location``, and not the one that browsers use."""
        start_response(self.status, self.headerlist)
        return [] if environ['REQUEST_METHOD'] == 'HEAD' else self.app_iter


def redirect(location: str, *cookies: tuple[str, str]) -> Response:
    """Redirect a browser; ``pecan.redirect`` would use webob's response, which lacks the security headers."""
    return Response(status=303, headerlist=[('Location', location), *cookies])
