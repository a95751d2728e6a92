# SPDX-License-Identifier: Apache-2.0
"""Make answers from exceptions, in the form of the service. No other module decides on status and body of errors.

They match ``Fault`` in nova/api/openstack/wsgi.py and cinder/api/openstack/wsgi.py. An unknown path gets webob's own
404, as from both services.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import webob
import webob.exc
from oslo_db import exception as db_exc

from trio2o import exception
from trio2o.web import microversion
from trio2o.web.call import Answer
from trio2o.web.service import FAULT_KEYS

if TYPE_CHECKING:
    from trio2o.web.microversion import Version
    from trio2o.web.service import Service

LOG = logging.getLogger(__name__)

UNEXPECTED = (
    'Unexpected API Error. Please report this to the operator of this cloud with the request id of the answer.'
)
POD_FAILED = 'The service is temporarily unavailable for this resource. Please try again later.'
DATABASE_FAILED = 'The service is temporarily unavailable. Please try again later.'


def answer(service: Service, error: Exception, version: Version | None, accept: str = '') -> Answer:
    """Make the answer for an exception. An unexpected one is logged with its traceback and answered with 500.

    :param version: negotiated microversion, if it is known, for the version headers
    :param accept: the Accept header of the request
    """
    if isinstance(error, exception.RouteNotFound) and not service.follows_http:
        return _webob_not_found(error, accept)
    headers: list[tuple[str, str]] = []
    details: Mapping[str, Any] = {}
    if isinstance(error, exception.PodError):
        LOG.warning('%s', error)
        code, message = error.code, POD_FAILED
        headers.append(('Retry-After', '5'))
    elif isinstance(error, db_exc.DBConnectionError):
        LOG.error('The database does not answer: %s', error)
        code, message = 503, DATABASE_FAILED
        headers.append(('Retry-After', '5'))
    elif isinstance(error, db_exc.DBNonExistentTable):
        LOG.error('The database has no table %s: run trio2o-db-manage db_sync', error.table)
        code, message = 503, DATABASE_FAILED
        headers.append(('Retry-After', '5'))
    elif isinstance(error, exception.Trio2oException):
        code, message, details = error.code, error.message, error.details
        headers += [(name, value) for name, value in error.headers.items() if name != 'Vary']
        if isinstance(error, exception.NotAcceptable):
            headers += [('Vary', name) for name in error.headers if name != 'Vary']
    else:
        LOG.exception('Unexpected error')
        code, message = 500, UNEXPECTED
    if version is not None and not isinstance(error, exception.NotAcceptable):
        headers += microversion.response_headers(service, version)
    return fault(code, message, headers, details)


def fault(
    code: int,
    message: str,
    headers: list[tuple[str, str]] | None = None,
    details: Mapping[str, Any] = MappingProxyType({}),
) -> Answer:
    """Make an error answer in the form of Nova and Cinder.

    :param details: further fields
    """
    inner: dict[str, Any] = {**details, 'code': code, 'message': message}
    headers = headers or []
    if code in (413, 429):
        retry_after = next((value for name, value in headers if name == 'Retry-After'), None)
        if retry_after is not None:
            inner['retryAfter'] = retry_after
    return Answer.of({FAULT_KEYS.get(code, 'computeFault'): inner}, code, headers)


def _webob_not_found(error: exception.RouteNotFound, accept: str) -> Answer:
    """Make webob's 404, as HTML, JSON or text according to the Accept header."""
    request = webob.Request.blank('/', environ={'HTTP_ACCEPT': accept})
    found = request.get_response(webob.exc.HTTPNotFound(explanation=error.message))
    return Answer(404, [('Content-Type', found.headers['Content-Type'])], found.body)
