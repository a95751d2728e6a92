# SPDX-License-Identifier: Apache-2.0
"""The one place where an exception becomes an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trio2o.web import faults
from trio2o.web.request_state import RequestState

if TYPE_CHECKING:
    from trio2o.web.service import Service


class FaultWrapper:
    """WSGI middleware: turns exceptions of the layers below into answers in the form of the service."""

    def __init__(self, app: Callable[..., Any], service: Service) -> None:
        self._app = app
        self._service = service

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        try:
            return self._app(environ, start_response)
        except Exception as error:
            version = RequestState.of(environ).version
            answer = faults.answer(self._service, error, version, environ.get('HTTP_ACCEPT', ''))
            return answer.send(environ, start_response)
