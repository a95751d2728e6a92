# SPDX-License-Identifier: Apache-2.0
"""Metrics of requests: how many were answered and how long that took, by operation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from trio2o import metrics
from trio2o.web.request_state import RequestState


class RequestMetrics:
    """WSGI middleware, the outermost one, so that answers of all the others count as well."""

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
        state = RequestState.of(environ)
        result = self._app(environ, note)
        if state.operation is not None:
            metrics.request_answered(self._service, state.operation, status, time.perf_counter() - started)
        return result
