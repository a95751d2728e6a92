# SPDX-License-Identifier: Apache-2.0
"""The version documents of the Admin API: in the format of the first Trio2o, which keystoneauth can read."""

from __future__ import annotations

from typing import Any

from trio2o.web.call import Answer
from trio2o.web.microversion import VersionRange

UPDATED = '2026-11-21T00:00:00Z'
COLLECTIONS = ('pods', 'bindings', 'routings', 'claims', 'jobs', 'replicas', 'usages')


def list_versions(base_url: str, supported: VersionRange | None) -> Answer:
    """GET /"""
    return Answer.of({'versions': [_version(base_url)]})


def show_version(base_url: str, supported: VersionRange | None) -> Answer:
    """GET /v1.0"""
    version = _version(base_url)
    version['links'] += [{'rel': name, 'href': f'{base_url}/v1.0/{name}'} for name in COLLECTIONS]
    version['links'].append({'rel': 'describedby', 'href': f'{base_url}/v1.0/openapi.json'})
    return Answer.of({'version': version})


def _version(base_url: str) -> dict[str, Any]:
    return {
        'id': 'v1.0',
        'status': 'CURRENT',
        'updated': UPDATED,
        'links': [{'rel': 'self', 'href': f'{base_url}/v1.0/'}],
    }
