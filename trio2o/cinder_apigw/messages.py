# SPDX-License-Identifier: Apache-2.0
"""Messages to users, which pods make on their own."""

from __future__ import annotations

from trio2o.cinder_apigw import paging
from trio2o.gateway.handlers.forward import Forward
from trio2o.gateway.handlers.list import Gather
from trio2o.resources import MESSAGE
from trio2o.web.operations import Operation

SORT_KEYS = paging.sort_keys(
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
LIST = Gather(
    MESSAGE,
    paging.paging(MESSAGE, 'messages_links', since=(3, 5)),
    SORT_KEYS,
    ('created_at', True),
    '/messages',
    all_projects=paging.all_projects,
)
FORWARD = Forward(MESSAGE)
_SINCE = (3, 3)

OPERATIONS = [
    Operation('messages.list', 'GET', '/messages', LIST, None, _SINCE),
    Operation('messages.show', 'GET', '/messages/{id}', FORWARD, None, _SINCE),
    Operation('messages.delete', 'DELETE', '/messages/{id}', FORWARD, None, _SINCE),
]
