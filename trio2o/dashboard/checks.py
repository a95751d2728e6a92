# SPDX-License-Identifier: Apache-2.0
"""Check a request before pecan looks for its controller."""

from __future__ import annotations

from typing import Any

import pecan
from oslo_config import cfg
from pecan.hooks import PecanHook

from trio2o.dashboard.request import PREFIX

_READS = ('GET', 'HEAD')
#: Path -> the methods that it has, if it takes a form.
_FORMS = {
    f'{PREFIX}/login': 'POST',
    f'{PREFIX}/logout': 'POST',
    f'{PREFIX}/moves': 'GET, HEAD, POST',
    f'{PREFIX}/move-groups': 'GET, HEAD, POST',
}
_FILES = (f'{PREFIX}/style.css', f'{PREFIX}/icon.svg')


class PlainHttp(Exception):
    """The browser uses plain HTTP, where others can read passwords and tokens."""


class Checks(PecanHook):
    """Lets browsers read pages, and send forms that were on one of these pages."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._is_enabled = conf.dashboard.enabled
        self._allows_http = conf.dashboard.allow_http

    def on_route(self, state: Any) -> None:
        """Check one request.

        :raises HTTPException: ``Pages`` answers it with a page
        :raises PlainHttp: so does it to this
        """
        request = state.request
        path = request.path_info.rstrip('/')
        if not self._is_enabled:
            pecan.abort(404)
        if not (self._allows_http or request.is_https or path in _FILES):
            raise PlainHttp()
        if request.method not in _READS:
            if path not in _FORMS or request.method != 'POST':
                pecan.abort(405, headers={'Allow': _FORMS.get(path, ', '.join(_READS))})
            form = request.form
            if not request.is_same_origin or not request.session.takes(form):
                pecan.abort(403)
        for name in path.split('/')[1:]:
            # Pecan would skip an empty name, and look for an attribute of any other.
            if name in ('', 'index') or name.startswith('_'):
                pecan.abort(404)
