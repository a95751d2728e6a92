# SPDX-License-Identifier: Apache-2.0
"""Messages to users, which pods make on their own."""

from __future__ import annotations

from trio2o.cinder_apigw import lists
from trio2o.gateway.forward import Forward
from trio2o.gateway.gather import Gather
from trio2o.gateway.kinds import MESSAGE
from trio2o.web.operations import Operation

SORT_KEYS = lists.sort_keys(
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
    lists.paging(MESSAGE, 'messages_links', since=(3, 5)),
    SORT_KEYS,
    ('created_at', True),
    '/messages',
    all_projects=lists.all_projects,
)
FORWARD = Forward(MESSAGE)
_SINCE = (3, 3)

OPERATIONS = [
    Operation('messages.list', 'GET', '/messages', LIST, None, _SINCE),
    Operation('messages.show', 'GET', '/messages/{id}', FORWARD, None, _SINCE),
    Operation('messages.delete', 'DELETE', '/messages/{id}', FORWARD, None, _SINCE),
]
