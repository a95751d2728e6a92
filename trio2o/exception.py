# SPDX-License-Identifier: Apache-2.0
"""Exceptions, each with its HTTP status.

::

    Trio2oException
    ├── BadRequest 400
    │   └── RefsDisagree
    ├── Unauthorized 401             the dashboard: Keystone refused the credentials
    ├── Forbidden 403
    ├── NotFound 404
    │   └── RouteNotFound            no such method and path: answered with webob's own page
    ├── MethodNotAllowed 405         the path exists, with other methods: Admin API
    ├── NotAcceptable 406            microversion out of range
    ├── Conflict 409
    ├── TooLarge 413
    ├── UnsupportedMediaType 415     Admin API
    ├── Unprocessable 422            Admin API
    │   └── Blocked                  findings speak against a move; the answer has them
    ├── ServiceUnavailable 503       no pod can serve the request now; may carry Retry-After
    ├── OutcomeUnknown 504           a write was sent to a pod, and no answer shows what became of it
    └── PodError                     about one pod; handlers decide what it means for the request
        ├── PodNotReached            nothing was sent, so another pod, or another try, is safe
        ├── PodNoAnswer              sent, but no complete answer: the outcome is unknown
        └── TooManyMissing           the pod does not show many of the resources that it had

``web/faults.py`` turns them into answers. Tenants see the messages of all except ``PodError``, so these name zones and
resources, never pods or URLs.
"""

from collections.abc import Mapping, Sequence
from typing import Any


class Trio2oException(Exception):
    """An error with an HTTP status; the client may see its message."""

    code = 500
    #: Further fields of the answer, beside the code and the message.
    details: Mapping[str, Any] = {}

    def __init__(self, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.headers = headers or {}


class BadRequest(Trio2oException):
    code = 400


class RefsDisagree(BadRequest):
    """Resources that a request refers to are in different pods, or in another zone than the requested one."""


class Unauthorized(Trio2oException):
    code = 401


class Forbidden(Trio2oException):
    code = 403


class NotFound(Trio2oException):
    code = 404


class RouteNotFound(Trio2oException):
    """No operation has this method and path."""

    code = 404

    def __init__(self) -> None:
        super().__init__('The resource could not be found.')


class MethodNotAllowed(Trio2oException):
    """The path has operations with other methods only; the answer names these."""

    code = 405

    def __init__(self, allowed: list[str]) -> None:
        super().__init__('The method is not allowed for this resource.', {'Allow': ', '.join(allowed)})


class NotAcceptable(Trio2oException):
    code = 406


class Conflict(Trio2oException):
    code = 409


class TooLarge(Trio2oException):
    code = 413


class UnsupportedMediaType(Trio2oException):
    code = 415


class Unprocessable(Trio2oException):
    code = 422


class Blocked(Unprocessable):
    """Something speaks against what is wanted.

    :param findings: that and everything else that was found, for programs
    """

    def __init__(self, message: str, findings: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.details = {'findings': findings}


class ServiceUnavailable(Trio2oException):
    """The request cannot be served now.

    :param retry_after: seconds after which the client should try again; None if waiting will not help
    """

    code = 503

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        headers = {} if retry_after is None else {'Retry-After': str(retry_after)}
        super().__init__(message, headers)


class OutcomeUnknown(Trio2oException):
    """A write was sent to a pod, and no answer shows what became of it; a job determines the outcome."""

    code = 504


class PodError(Trio2oException):
    """One pod did not give a complete answer.

    :ivar is_down: whether this shows that the pod is out of service. False if Trio2o's own time limit ended the call,
        or if something else than the service answered: the pod may work well for others
    """

    code = 503

    def __init__(self, pod_name: str, reason: str, *, is_down: bool = True) -> None:
        super().__init__(f'pod {pod_name}: {reason}')
        self.pod_name = pod_name
        self.reason = reason
        self.is_down = is_down


class PodNotReached(PodError):
    """No connection was made, so the pod did nothing: another pod can be tried."""


class PodNoAnswer(PodError):
    """The request was sent, and no complete answer came back, or an error after which its outcome is unknown."""

    code = 504


class TooManyMissing(PodError):
    """The pod does not show many of the resources that it had, so an operator decides whether they are gone."""
