# SPDX-License-Identifier: Apache-2.0
"""Cinder's version documents."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder


def _documents(cinder: 'Cinder', request: wire.Request) -> dict[str, Any]:
    return {
        'versions': [
            {
                'id': 'v3.0',
                'status': 'CURRENT',
                'version': f'3.{cinder.settings.max_minor}',
                'min_version': f'3.{cinder.settings.min_minor}',
                'updated': '2023-08-31T00:00:00Z',
                'links': [
                    {'rel': 'describedby', 'type': 'text/html', 'href': 'https://docs.openstack.org/'},
                    {'rel': 'self', 'href': f'{request.base}/v3/'},
                ],
                'media-types': [
                    {'base': 'application/json', 'type': 'application/vnd.openstack.volume+json;version=3'}
                ],
            }
        ]
    }


def unversioned(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """Paths that do not begin with ``/v3/``: ``/`` is 300, ``/v3`` redirects to ``/v3/``, others are 404."""
    if request.path == '/':
        return cinder.finish(request, wire.reply(_documents(cinder, request), 300))
    if request.path == '/v3':
        refused = cinder.authenticate(request)
        return refused or wire.Response(
            302, [('Content-Type', 'text/plain; charset=UTF-8'), ('Location', f'{request.base}/v3/')]
        )
    return cinder.no_route(request)


def show(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /v3/, with a token."""
    return wire.reply(_documents(cinder, request))
