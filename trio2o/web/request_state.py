# SPDX-License-Identifier: Apache-2.0
"""The state of one request that the layers of the WSGI pipeline share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trio2o.web.microversion import Version

#: The one key of Trio2o in a WSGI environ.
KEY = 'trio2o.request'

#: Name in metrics for a request that matches no operation, or is refused before one is found.
NO_OPERATION = 'none'


@dataclass(slots=True)
class RequestState:
    """State of one request.

    :ivar base_url: scheme, authority and path prefix of this service, as the client knows them; set by ``PublicPaths``
    :ivar is_https: whether the client uses TLS; set by ``PublicPaths`` for mounted applications
    :ivar operation: name for metrics; None: the request is not counted. Set by ``PublicPaths`` for what it answers
        itself, and by the dispatcher
    :ivar version: the negotiated microversion, which error answers name too; set by the dispatcher
    """

    base_url: str = ''
    is_https: bool = False
    operation: str | None = NO_OPERATION
    version: Version | None = None

    @classmethod
    def of(cls, environ: dict[str, Any]) -> RequestState:
        """Return the state of a request. The first call makes it."""
        state: RequestState | None = environ.get(KEY)
        if state is None:
            state = environ[KEY] = cls()
        return state
