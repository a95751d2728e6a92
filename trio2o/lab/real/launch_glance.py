# SPDX-License-Identifier: Apache-2.0
"""Glance with a file store, as one process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trio2o.lab.real import serve


class Body:
    """A request body whose ``close`` does not close the connection.

    Glance closes the body after it has stored it; with cheroot that would end the connection before the answer.
    """

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, size: int = -1) -> bytes:
        content: bytes = self._body.read(size) if size >= 0 else self._body.read()
        return content

    def readline(self, *arguments: Any) -> bytes:
        line: bytes = self._body.readline(*arguments)
        return line

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """Do nothing."""


if __name__ == '__main__':
    serve.begin('glance')
    from glance.wsgi.api import application

    def guarded(environ: dict[str, Any], start_response: Any) -> Any:
        environ['wsgi.input'] = Body(environ['wsgi.input'])
        return application(environ, start_response)

    serve.serve(guarded)
