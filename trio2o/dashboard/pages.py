# SPDX-License-Identifier: Apache-2.0
"""Makes pages from templates, those for errors included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2
from oslo_config import cfg
from pecan.hooks import PecanHook
from webob.exc import HTTPBadRequest, HTTPForbidden, HTTPMethodNotAllowed, HTTPNotFound

from trio2o.dashboard import session, views
from trio2o.dashboard.checks import PlainHttp
from trio2o.dashboard.request import Request, Response, redirect
from trio2o.dashboard.source import ApiError, Denied, NotSignedIn, NotThere, Source
from trio2o.db.database import utcnow


class Pages(PecanHook):
    """Renders pages; as a hook of pecan, those for errors of controllers."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._region = conf.region_name
        self._refresh_seconds = conf.dashboard.refresh_seconds
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader('trio2o.dashboard'),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            time=views.time_text,
            job_level=views.job_level,
            move_level=views.move_level,
            member_level=views.member_level,
            counted=views.counted,
            group_name=views.group_name,
        )

    def page(
        self, request: Request, template: str, source: Source | None = None, status: int = 200, **values: Any
    ) -> Response:
        """:param source: where the page comes from, if it shows something that changes; the browser then reloads it"""
        headers = [('Content-Type', 'text/html; charset=utf-8')]
        secret = request.session.secret
        if not secret:
            secret = session.new_secret()
            headers.append(request.cookie(session.FORM, secret))
        text = self._templates.get_template(template).render(
            prefix=request.root,
            region=self._region,
            now=utcnow().replace(microsecond=0),
            refresh=self._refresh_seconds if source is not None else 0,
            secret=secret,
            is_signed_in=bool(request.session.token),
            user=source.user if source is not None else '',
            project=source.project if source is not None else '',
            **values,
        )
        return Response(status=status, headerlist=headers, body=text.encode())

    def message(self, request: Request, status: int, title: str, text: str = '') -> Response:
        return self.page(request, 'message.html', status=status, title=title, text=text)

    def login(
        self, request: Request, status: int = 200, error: str = '', given: Mapping[str, str] | None = None
    ) -> Response:
        """The sign-in form.

        :param given: fields to fill in
        """
        return self.page(request, 'login.html', status=status, error=error, given=given or {})

    def on_error(self, state: Any, error: Exception) -> Response | None:
        """Return the page for an error; None: the error is not expected, and pecan raises it again."""
        request = state.request
        match error:
            case NotSignedIn():
                # The browser deletes a token that is no longer valid.
                cookies = [request.cookie(session.TOKEN, '')] if request.session.token else []
                return redirect(f'{request.root}/login', *cookies)
            case PlainHttp():
                page = self.page(request, 'plain_http.html', status=403)
                # A cookie that is set without TLS is sent without TLS, too; the browser deletes a token that is.
                page.headers.pop('Set-Cookie', None)
                if request.session.token:
                    page.headers.add(*request.cookie(session.TOKEN, ''))
                return page
            case Denied():
                # Any other form is one to sign in or out.
                is_order = request.method == 'POST' and request.path_info.rstrip('/').endswith(('/moves', '-groups'))
                what = 'do this' if is_order else 'see this page'
                return self.message(request, 403, f'You are not allowed to {what}', str(error))
            case ApiError():
                return self.message(request, error.status, 'The Admin API answered with an error', str(error))
            case HTTPBadRequest():
                what = 'form' if request.method == 'POST' else 'address'
                return self.message(request, 400, f'The {what} of this request cannot be read')
            case HTTPForbidden():
                return self.login(request, 403, 'This form is out of date. Please try again.')
            case HTTPNotFound() | NotThere():
                return self.message(request, 404, 'There is no such page')
            case HTTPMethodNotAllowed():
                page = self.message(
                    request, 405, 'Method not allowed', 'Read pages with GET, and send forms with POST.'
                )
                page.headers['Allow'] = error.headers['Allow']
                return page
        return None
