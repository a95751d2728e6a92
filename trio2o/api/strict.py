# SPDX-License-Identifier: Apache-2.0
"""What every operation of the Admin API refuses alike, before its handler is asked."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from trio2o import exception
from trio2o.web.call import Answer, Call
from trio2o.web.operations import Handler, Operation
from trio2o.web.validation import NO_QUERY, Body, Query, unfit


def strict(operations: Iterable[Operation], accepts: Mapping[str, Body | Query]) -> Iterator[Operation]:
    """The same rows, which take no id that cannot be one, and no query where they read none."""
    for operation in operations:
        reads_query = isinstance(accepts.get(operation.name), Query)
        yield replace(operation, handler=_strict(operation.handler, reads_query))


def _strict(handler: Handler, reads_query: bool) -> Handler:
    @functools.wraps(handler)
    def answer(call: Call) -> Answer:
        if any(unfit(value) for value in call.params.values()):
            raise exception.NotFound('The resource could not be found.')
        if not reads_query:
            NO_QUERY.read(call)
        return handler(call)

    return answer
