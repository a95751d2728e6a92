# SPDX-License-Identifier: Apache-2.0
"""Version documents, as cinder/api/versions.py gives them."""

from __future__ import annotations

from typing import Any

from trio2o.web.call import Answer, Call
from trio2o.web.microversion import VersionRange
from trio2o.web.operations import Operation


def _versions(base_url: str, supported: VersionRange | None) -> dict[str, Any]:
    version = {
        'id': 'v3.0',
        'status': 'CURRENT',
        'version': str(supported.max) if supported else '',
        'min_version': str(supported.min) if supported else '',
        'updated': '2023-08-31T00:00:00Z',
        'links': [
            {'rel': 'describedby', 'type': 'text/html', 'href': 'https://docs.openstack.org/'},
            {'rel': 'self', 'href': f'{base_url}/v3/'},
        ],
        'media-types': [{'base': 'application/json', 'type': 'application/vnd.openstack.volume+json;version=3'}],
    }
    return {'versions': [version]}


def root(base_url: str, supported: VersionRange | None) -> Answer:
    return Answer.of(_versions(base_url, supported), 300)


def v3(base_url: str, supported: VersionRange | None) -> Answer:
    return Answer.of(_versions(base_url, supported))


def redirect(base_url: str, supported: VersionRange | None) -> Answer:
    return Answer(302, [('Location', f'{base_url}/v3/'), ('Content-Type', 'text/plain; charset=UTF-8')])


PAGES = {'/': root, '': root, '/v3': redirect, '/v3/': v3}


def show(call: Call) -> Answer:
    """``/{project_id}/``: the same document, with a token."""
    supported = call.runtime.versions(call.service)
    answer = v3(call.base_url, supported)
    answer.headers.extend(call.version_headers)
    return answer


OPERATIONS = [Operation('versions.show', 'GET', '/', show)]
