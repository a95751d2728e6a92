# SPDX-License-Identifier: Apache-2.0
"""Cinder's user messages. Only tests ``add`` messages; the emulated pod creates none."""

import datetime
from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import paging, wire
from trio2o.lab.emulated.cinder import lists, volumes
from trio2o.lab.emulated.clock import micro
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder

MISSING = 'Message {} could not be found.'
_FILTERS = ['resource_uuid', 'resource_type', 'event_id', 'request_id', 'message_level']


def add(cinder: 'Cinder', project_id: str, **given: Any) -> dict[str, Any]:
    """Add a message."""
    now = given.get('created_at') or cinder.stamp()
    row = {
        'id': cinder.new_id(),
        'project_id': project_id,
        'event_id': 'VOLUME_VOLUME_001_003',
        'created_at': now,
        'user_message': 'schedule allocate volume:Could not find any available weighted backend.',
        'message_level': 'ERROR',
        'request_id': f'req-{cinder.new_id()}',
        'resource_type': 'VOLUME',
        'resource_uuid': cinder.new_id(),
        'expires_at': now + datetime.timedelta(days=30),
        **given,
    }
    cinder.messages[row['id']] = row
    return row


def _view(request: wire.Request, row: dict[str, Any]) -> dict[str, Any]:
    names = ('id', 'event_id', 'user_message', 'message_level', 'request_id', 'resource_type', 'resource_uuid')
    return {
        **{name: row[name] for name in names},
        'created_at': micro(row['created_at']),
        'guaranteed_until': micro(row['expires_at']),
        'links': volumes.links(request, 'messages', row['id']),
    }


def _find(cinder: 'Cinder', request: wire.Request) -> dict[str, Any]:
    wanted = request.args['message_id']
    row = cinder.messages.get(wanted)
    if row is None or not lists.may_see(request, row):
        raise Refusal(404, MISSING.format(wanted))
    return row


def list_messages(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /messages, with pages from 3.5."""
    rows = list(cinder.messages.values())
    if request.minor < 5:
        chosen = lists.choose(request, rows, {})
        page = paging.in_order(chosen, ['created_at', 'id'], ['desc', 'desc'])
    else:
        chosen = lists.choose(request, rows, lists.filters_of(request, _FILTERS))
        page = lists.page_of(cinder, request, chosen, cinder.messages, MISSING)
    body: dict[str, Any] = {'messages': [_view(request, row) for row in page]}
    more = lists.links_of(cinder, request, page, 'messages')
    if more:
        body['messages_links'] = more
    return wire.reply(body)


def show_message(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """GET /messages/{id}."""
    return wire.reply({'message': _view(request, _find(cinder, request))})


def delete_message(cinder: 'Cinder', request: wire.Request) -> wire.Response:
    """DELETE /messages/{id}: 204."""
    del cinder.messages[_find(cinder, request)['id']]
    return wire.empty()


ROUTES = [
    Route('GET', '/messages', list_messages, since=3),
    Route('GET', '/messages/{message_id}', show_message, since=3),
    Route('DELETE', '/messages/{message_id}', delete_message, since=3),
]
