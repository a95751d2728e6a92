# SPDX-License-Identifier: Apache-2.0
"""Version documents, as nova/api/openstack/compute/versions.py gives them."""

from __future__ import annotations

from typing import Any

from trio2o import exception
from trio2o.web.call import Answer, Call
from trio2o.web.microversion import VersionRange
from trio2o.web.operations import Operation

_IDS = ('v2.0', 'v2.1')
_SEGMENTS = {'v2.0': 'v2', 'v2.1': 'v2.1'}


def _document(version_id: str, supported: VersionRange | None) -> dict[str, Any]:
    is_current = version_id == 'v2.1'
    return {
        'id': version_id,
        'status': 'CURRENT' if is_current else 'DEPRECATED',
        'version': str(supported.max) if supported and is_current else '',
        'min_version': str(supported.min) if supported and is_current else '',
        'updated': '2013-07-23T11:33:21Z' if is_current else '2025-07-04T12:00:00Z',
    }


def _media_types(version_id: str) -> list[dict[str, str]]:
    number = '2.1' if version_id == 'v2.1' else '2'
    return [{'base': 'application/json', 'type': f'application/vnd.openstack.compute+json;version={number}'}]


def _self(base_url: str, version_id: str, path: str = '') -> dict[str, str]:
    return {'rel': 'self', 'href': f'{base_url}/{_SEGMENTS[version_id]}/{path.lstrip("/")}'}


def root(base_url: str, supported: VersionRange | None) -> Answer:
    versions = [{**_document(version_id, supported), 'links': [_self(base_url, version_id)]} for version_id in _IDS]
    return Answer.of({'versions': versions})


def choices(path: str, base_url: str, supported: VersionRange | None) -> Answer:
    """Answer 300 with a link for each version, for a path that begins with no version."""
    found = [
        {
            'id': version_id,
            'status': _document(version_id, supported)['status'],
            'links': [_self(base_url, version_id, path)],
            'media-types': _media_types(version_id),
        }
        for version_id in _IDS
    ]
    return Answer.of({'choices': found}, 300)


def version(version_id: str, base_url: str, supported: VersionRange | None) -> Answer:
    document = {
        **_document(version_id, supported),
        'links': [
            _self(base_url, version_id),
            {'rel': 'describedby', 'type': 'text/html', 'href': 'https://docs.openstack.org/'},
        ],
        'media-types': _media_types(version_id),
    }
    return Answer.of({'version': document})


def v21(base_url: str, supported: VersionRange | None) -> Answer:
    return version('v2.1', base_url, supported)


def v2(base_url: str, supported: VersionRange | None) -> Answer:
    return version('v2.0', base_url, supported)


PAGES = {'/': root, '': root, '/v2.1': v21, '/v2.1/': v21, '/v2': v2, '/v2/': v2}


def show(call: Call) -> Answer:
    """Show the version document, for a request with a token: ``/{project_id}/``."""
    supported = call.runtime.versions(call.service)
    answer = version('v2.1', call.base_url, supported)
    answer.headers.extend(call.version_headers)
    return answer


def show_by_id(call: Call) -> Answer:
    """Show one version document.

    :raises NotFound: the id is neither v2.0 nor v2.1
    """
    if call.id not in _IDS:
        raise exception.NotFound('The resource could not be found.')
    supported = call.runtime.versions(call.service)
    answer = version(call.id, call.base_url, supported)
    answer.headers.extend(call.version_headers)
    return answer


OPERATIONS = [
    Operation('versions.show', 'GET', '/', show),
    Operation('versions.show_by_id', 'GET', '/versions/{id}', show_by_id),
]
