# SPDX-License-Identifier: Apache-2.0
"""Metadata of volumes and of snapshots. Answers about volumes have an ETag from 3.15."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import wire
from trio2o.lab.emulated.cinder import records, snapshots, volumes
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder


def _find(cinder: 'Cinder', request: wire.Request) -> tuple[dict[str, Any], str]:
    if 'volume_id' in request.args:
        return volumes.find(cinder, request), 'Volume'
    return snapshots.find(cinder, request), 'Snapshot'


def _etag(metadata: dict[str, str]) -> tuple[str, bytes]:
    text = json.dumps({'metadata': metadata}).encode()
    return hashlib.md5(text, usedforsecurity=False).hexdigest(), text


def list_metadata(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET: the ETag is the hash of the body."""
    record, kind = _find(cinder, request)
    if kind == 'Volume' and request.minor >= 15:
        etag, text = _etag(record['metadata'])
        return wire.bare(200, [('Etag', etag)], text)
    return wire.reply({'metadata': record['metadata']})


def _matched(request: wire.Request, record: dict[str, Any], kind: str) -> bool:
    wanted = request.headers.get('if-match')
    if kind != 'Volume' or request.minor < 15 or not wanted or wanted == '*':
        return True
    return _etag(record['metadata'])[0] in [item.strip(' "') for item in wanted.split(',')]


def write_metadata(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """POST adds items, PUT replaces all if the ETag matches."""
    given = cinder.body(request, 'metadata')
    record, kind = _find(cinder, request)
    if request.method == 'PUT' and not _matched(request, record, kind):
        return wire.bare(412)
    kept = record['metadata'] if request.method == 'POST' else {}
    records.touch(cinder, record, metadata={**kept, **given})
    return wire.reply({'metadata': record['metadata']})


def _item(cinder: 'Cinder', request: wire.Request) -> tuple[dict[str, Any], str]:
    (record, kind), key = _find(cinder, request), request.args['key']
    if key not in record['metadata']:
        raise Refusal(404, f'{kind} {record["id"]} has no metadata with key {key}.')
    return record, key


def show_item(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /.../metadata/{key}."""
    record, key = _item(cinder, request)
    return wire.reply({'meta': {key: record['metadata'][key]}})


def put_item(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """PUT /.../metadata/{key}."""
    given, key = cinder.body(request, 'meta'), request.args['key']
    record, kind = _find(cinder, request)
    if not _matched(request, record, kind):
        return wire.bare(412)
    if key not in given:
        raise Refusal(400, 'Request body and URI mismatch')
    if len(given) > 1:
        raise Refusal(400, 'Request body contains too many items')
    records.touch(cinder, record, metadata={**record['metadata'], key: given[key]})
    return wire.reply({'meta': given})


def delete_item(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /.../metadata/{key}: 200 without a body."""
    record, key = _item(cinder, request)
    records.touch(cinder, record, metadata={name: value for name, value in record['metadata'].items() if name != key})
    return wire.bare(200)


ROUTES = [
    Route(method, path + tail, handler)
    for path in ('/volumes/{volume_id}/metadata', '/snapshots/{snapshot_id}/metadata')
    for method, tail, handler in (
        ('GET', '', list_metadata),
        ('POST', '', write_metadata),
        ('PUT', '', write_metadata),
        ('GET', '/{key}', show_item),
        ('PUT', '/{key}', put_item),
        ('DELETE', '/{key}', delete_item),
    )
]
