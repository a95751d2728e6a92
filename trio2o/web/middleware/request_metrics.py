# SPDX-License-Identifier: Apache-2.0
"""Counts what a service answers and how long it takes, by the row that was matched."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from trio2o import metrics

#: Where the controller, and who else answers, leaves the operation's name. Empty: not to be counted.
OPERATION = 'trio2o.operation'

#: What was refused before a row was looked for, or has none.
NONE = 'none'


class Counted:
    """WSGI middleware, the outermost: what the others answer counts as well."""

    def __init__(self, app: Callable[..., Any], service: str) -> None:
        self._app = app
        self._service = service

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        status = ''

        def note(line: str, headers: list[tuple[str, str]], *args: Any) -> Any:
            nonlocal status
            status = line[:3]
            return start_response(line, headers, *args)

        started = time.perf_counter()
        result = self._app(environ, note)
        operation = environ.get(OPERATION, NONE)
        if operation:
            metrics.request_answered(self._service, operation, status, time.perf_counter() - started)
        return result
