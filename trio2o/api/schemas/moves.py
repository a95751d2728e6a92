# SPDX-License-Identifier: Apache-2.0
"""Body and queries of /moves."""

from trio2o.api.schemas import BOOLEAN, ID, PAGE, Json, record, sort, text
from trio2o.api.schemas.adoption import DRY_RUN, Options
from trio2o.db.records import MOVE_STATES, MOVE_STATUSES
from trio2o.web.validation import Body, Query

CONFIRM_SECONDS: Json = {
    'type': 'integer',
    'minimum': 0,
    'maximum': 2_592_000,
    'description': 'seconds after the switch after which a move confirms itself',
}
_FIELDS: Json = {
    'server_id': {**ID, 'description': 'the server to move, with all of its volumes'},
    'volume_id': {**ID, 'description': 'the detached volume to move'},
    'target_pod': {**text(255, 1), 'description': 'name or id of the pod to move to'},
    'zone': {**text(255, 1), 'description': 'the availability zone to move to: the scheduler chooses the pod'},
    'confirm_seconds': CONFIRM_SECONDS,
    'dry_run': DRY_RUN,
}
CREATE = Body('move', record(_FIELDS))
#: Of each pair exactly one has to be given.
ALTERNATIVES = (('server_id', 'volume_id'), ('target_pod', 'zone'))
_SORTABLE = ('id', 'project_id', 'resource_id', 'source_pod_id', 'target_pod_id', 'state', 'created_at', 'updated_at')
LIST = Query(
    **PAGE,
    sort=sort(*_SORTABLE),
    project_id=ID,
    resource_id=ID,
    source_pod_id=ID,
    target_pod_id=ID,
    pod_id={**ID, 'description': 'only moves from or to this pod'},
    status={'type': 'string', 'enum': list(MOVE_STATUSES)},
    state={'type': 'string', 'enum': list(MOVE_STATES)},
    active=BOOLEAN,
)
VERB = Options('move', record({}))
CONFIRM = Options(
    'move',
    record(
        {
            'force': {
                'type': 'boolean',
                'description': 'delete the resources in the source even if the target has lost them',
            }
        }
    ),
)
ABANDON = Options(
    'move',
    record(
        {
            'back': {
                'type': 'boolean',
                'description': 'let the ids of a move that has switched lead to the source again, unless its deletion '
                'has begun',
            }
        }
    ),
)
