# SPDX-License-Identifier: Apache-2.0
"""Check a request before pecan looks for its controller."""

from __future__ import annotations

from typing import Any

import pecan
from pecan.hooks import PecanHook

from trio2o.dashboard.request import PREFIX

_READS = ('GET', 'HEAD')
_FORMS = (f'{PREFIX}/login', f'{PREFIX}/logout')


class Checks(PecanHook):
    """Lets browsers read pages, and send forms that were on one of these pages."""

    def __init__(self, is_enabled: bool) -> None:
        self._is_enabled = is_enabled

    def on_route(self, state: Any) -> None:
        """Check one request.

        :raises HTTPException: ``Pages`` answers it with a page
        """
        request = state.request
        path = request.path_info.rstrip('/')
        if not self._is_enabled:
            pecan.abort(404)
        if request.method not in _READS:
            if path not in _FORMS or request.method != 'POST':
                pecan.abort(405, headers={'Allow': 'POST' if path in _FORMS else ', '.join(_READS)})
            form = request.form
            if not request.is_same_origin or not request.session.takes(form):
                pecan.abort(403)
        for name in path.split('/')[1:]:
            # Pecan would skip an empty name, and look for an attribute of any other.
            if name in ('', 'index') or name.startswith('_'):
                pecan.abort(404)
