# SPDX-License-Identifier: Apache-2.0
"""Errors of the SDK as errors of a command, with what an operator can do about them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from openstack import exceptions as sdk_exceptions
from osc_lib import exceptions

from trio2o.sdk.proxy import VERSION, AdminApiUnreachable, EndpointNotFound

#: The errors that `command_error` explains.
EXPLAINED = (sdk_exceptions.HttpException, EndpointNotFound, AdminApiUnreachable)

#: A message of the Admin API: the type of what is not there, and its name or id.
_NOT_FOUND = re.compile(r'(?!The resource )[A-Z].* \S+ could not be found\.')


def command_error(error: Exception) -> exceptions.CommandError:
    """Explain one of the `EXPLAINED` errors."""
    if isinstance(error, sdk_exceptions.HttpException):
        return exceptions.CommandError(_refusal(error))
    if isinstance(error, EndpointNotFound):
        return exceptions.CommandError(
            f'{error} Name the Admin API with --os-trio2o-endpoint or OS_TRIO2O_ENDPOINT, use the top region '
            '(--os-region-name), or let an administrator create the service and its endpoint.'
        )
    return exceptions.CommandError(
        f'{error}. Is trio2o-api running there? Another address can be given with --os-trio2o-endpoint.'
    )


def _refusal(error: sdk_exceptions.HttpException) -> str:
    response = error.response
    path = urlsplit(str(error.url)).path.partition(VERSION)[2]
    message = _message(response)
    status = error.status_code or 0
    # A collection exists; what is not found may be the zone or the server that a new move names.
    is_named = error.method == 'POST' and _NOT_FOUND.fullmatch(message or '')
    if not message or (status in (404, 405) and '/' not in path[1:] and not is_named):
        reason = getattr(response, 'reason', '')
        return f'The Admin API answered {error.method} {path} with {status} {reason}. Is that its address?'
    if status == 401:
        return f'{message} (401): the Admin API rejects this token; is its [keystone_authtoken] right?'
    if status == 403:
        return (
            f"{message} (403). Reading needs the role 'admin', or 'reader' of the whole system "
            "(--os-system-scope all); changing needs 'admin'."
        )
    request_id = f', request {error.request_id}' if status >= 500 and error.request_id else ''
    return f'{message} ({status}{request_id})'


def _message(response: object) -> str | None:
    """Return the message of a fault; None if the body is not a fault."""
    try:
        document = response.json()  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        return None
    inner = next(iter(document.values()), None) if isinstance(document, dict) else None
    return inner.get('message') if isinstance(inner, dict) else None
