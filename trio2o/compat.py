# SPDX-License-Identifier: Apache-2.0
"""Private parts of libraries that Trio2o cannot do without, each with the reason.

``unit/test_compat.py`` shows that the installed releases still have them. Nothing is imported before it is needed:
``trio2o.concurrency`` uses this module, and eventlet has to patch the standard library before others import it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any


def clear_current_context() -> None:
    """Make ``oslo_context.context.get_current()`` return None in this thread.

    oslo.context can replace the context of a thread and cannot remove it. A thread serves one request after another,
    and its log lines must not carry the id of an earlier one.
    """
    from oslo_context import context

    if context.get_current() is not None:
        del context._request_store.context


def read_header_lines(fp: Any) -> list[bytes]:
    """Read the lines of HTTP headers, the empty line at their end included, within the limits of ``http.client``.

    ``http.client.parse_headers`` does this and parses them, and only this part is needed.
    """
    from http import client

    lines: list[bytes] = client._read_headers(fp)  # type: ignore[attr-defined]
    return lines


def identity_headers() -> list[str]:
    """Names of all headers that keystonemiddleware may set.

    Its documentation lists them, and no public function does. Those that a client sends under one of these names have
    to be removed, so the list must be that of the installed release.
    """
    from keystonemiddleware.auth_token import _request

    request = _request._AuthTokenRequest({'REQUEST_METHOD': 'GET'})
    return [*request._all_auth_headers(), request._SYSTEM_SCOPE_HEADER]


def mount_on_auth_protocol(middleware: Any, adapter: Any) -> None:
    """Send keystonemiddleware's requests to Keystone through a ``requests`` adapter of a test.

    keystonemiddleware makes its own keystoneauth session, and has no option for another one.
    """
    for scheme in ('http://', 'https://'):
        middleware._session.mount(scheme, adapter)


def validate_where_tokens_are_given(middleware: Any) -> None:
    """Let keystonemiddleware validate tokens at the Keystone that gave its own token.

    It searches the catalog of that token for an endpoint before each request. The catalog has the endpoints of all
    pods, so with a thousand of them that takes longer than the request.
    """
    from keystoneauth1 import plugin

    middleware._interface = plugin.AUTH_INTERFACE
    middleware._identity_server = middleware._create_identity_server()


def allows_everybody(check: Any) -> bool:
    """Whether a rule of oslo.policy is ``@``.

    The class of such rules is private; comparing their text would take longer than the check itself.
    """
    from oslo_policy import _checks

    return isinstance(check, _checks.TrueCheck)


def is_single_role(check: Any) -> bool:
    """Whether a rule of oslo.policy is a single role, whose check reads nothing but the roles of the caller.

    The class of such rules is private, too.
    """
    from oslo_policy import _checks

    return isinstance(check, _checks.RoleCheck)


def messaging_options() -> Iterator[tuple[str, list[Any]]]:
    """Options, by group, that oslo.messaging registers with ``cfg.CONF`` alone and then reads from the caller's.

    ``oslo_messaging.opts.list_opts`` leaves them out. A release that has no such module needs no such options.
    """
    for module, group in (('_metrics', 'oslo_messaging_metrics'), ('_tracing', 'oslo_messaging_tracing')):
        try:
            options = getattr(importlib.import_module(f'oslo_messaging.{module}.client'), group)
        except (ImportError, AttributeError):
            continue
        yield group, options
