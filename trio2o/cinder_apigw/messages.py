# SPDX-License-Identifier: Apache-2.0
"""Messages to users. Pods create them on their own."""

from __future__ import annotations

from trio2o.cinder_apigw.paging import CinderList, shown_keys
from trio2o.gateway.handlers.forward import Forward
from trio2o.resources import MESSAGE
from trio2o.web.operations import Operation


class MessageList(CinderList):
    """``GET /messages``."""

    resource = MESSAGE
    sort_keys = shown_keys(
        'action_id',
        'created_at',
        'detail_id',
        'event_id',
        'id',
        'message_level',
        'project_id',
        'request_id',
        'resource_type',
        'resource_uuid',
        'updated_at',
        expires_at='guaranteed_until',
    )
    links_key = 'messages_links'
    paged_since = (3, 5)


_FORWARD = Forward(MESSAGE)
_SINCE = (3, 3)

OPERATIONS = [
    Operation('messages.list', 'GET', '/messages', MessageList('/messages'), None, _SINCE),
    Operation('messages.show', 'GET', '/messages/{id}', _FORWARD, None, _SINCE),
    Operation('messages.delete', 'DELETE', '/messages/{id}', _FORWARD, None, _SINCE),
]
