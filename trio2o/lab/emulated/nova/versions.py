# SPDX-License-Identifier: Apache-2.0
"""Nova's version documents, and the microversion of a request."""

from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire
from trio2o.lab.emulated.wire import Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova

_HTML = {'rel': 'describedby', 'type': 'text/html', 'href': 'http://docs.openstack.org/'}


def requested(headers: dict[str, str]) -> str | None:
    """Return the version for compute: from the newer header if it names compute, or else from the older one."""
    found = None
    for item in headers.get('openstack-api-version', '').split(','):
        words = item.strip().lower().split()
        if len(words) == 2 and words[0] == 'compute':
            found = words[1]
    if found is None:
        legacy = headers.get('x-openstack-nova-api-version')
        found = legacy.split(',')[-1].strip().lower() if legacy else None
    return found


def _document(nova: 'Nova') -> dict[str, Any]:
    return {
        'id': 'v2.1',
        'status': 'CURRENT',
        'version': f'2.{nova.settings.max_minor}',
        'min_version': f'2.{nova.settings.min_minor}',
        'updated': '2013-07-23T11:33:21Z',
    }


def _media(version: str) -> list[dict[str, str]]:
    return [{'base': 'application/json', 'type': f'application/vnd.openstack.compute+json;version={version}'}]


def unversioned(nova: 'Nova', request: wire.Request) -> wire.Response:
    """Version documents, which need no token: for all paths that do not begin with ``/v2.1/``, and for that one."""
    base = request.base
    if request.path == '/':
        old = {
            'id': 'v2.0',
            'status': 'DEPRECATED',
            'version': '',
            'min_version': '',
            'updated': '2025-07-04T12:00:00Z',
            'links': [{'rel': 'self', 'href': f'{base}/v2/'}],
        }
        new = {**_document(nova), 'links': [{'rel': 'self', 'href': f'{base}/v2.1/'}]}
        return wire.reply({'versions': [old, new]})
    if request.path in ('/v2.1', '/v2.1/'):
        try:
            nova.negotiate(request)
        except wire.Refusal as refusal:
            return nova.render(request, refusal)
        return nova.finish(request, show(nova, request))
    tail = request.path.lstrip('/')
    choices = [
        {
            'id': name,
            'status': status,
            'media-types': _media(media),
            'links': [{'rel': 'self', 'href': f'{base}/{short}/{tail}'}],
        }
        for name, short, status, media in (('v2.0', 'v2', 'DEPRECATED', '2'), ('v2.1', 'v2.1', 'CURRENT', '2.1'))
    ]
    return wire.reply({'choices': choices}, 300)


def show(nova: 'Nova', request: wire.Request) -> wire.Response:
    """The v2.1 document."""
    links = [{'rel': 'self', 'href': f'{request.base}/v2.1/'}, _HTML]
    return wire.reply({'version': {**_document(nova), 'links': links, 'media-types': _media('2.1')}})


ROUTES = [Route('GET', '', show)]
