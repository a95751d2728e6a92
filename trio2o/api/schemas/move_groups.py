# SPDX-License-Identifier: Apache-2.0
"""Body and queries of /move-groups."""

from trio2o.api.schemas import BOOLEAN, ID, NUMBER, PAGE, Json, record, sort, text
from trio2o.api.schemas.adoption import DRY_RUN, Options
from trio2o.api.schemas.moves import CONFIRM_SECONDS
from trio2o.db.records import GROUP_KINDS, GROUP_STATUSES, MEMBER_STATES
from trio2o.moves.groups.options import ON_FAILURE, WINDOW
from trio2o.web.validation import Body, Query

#: Most members that a request may name, or find by a tag or a server group.
MOST_MEMBERS = 1000
_COUNT: Json = {'type': 'integer', 'minimum': 0, 'maximum': 1_000_000}
_MEMBER = record({'type': {'type': 'string', 'enum': ['server', 'volume']}, 'id': ID}, ('type', 'id'))
_FIELDS: Json = {
    'kind': {'type': 'string', 'enum': list(GROUP_KINDS)},
    'name': text(255),
    'members': {
        'type': 'array',
        'items': _MEMBER,
        'minItems': 1,
        'maxItems': MOST_MEMBERS,
        'description': 'of an application: its servers and detached volumes, in the order of the moves',
    },
    'server_group_id': {**ID, 'description': 'of an application: the server group that its servers are members of'},
    'tag': {**text(60, 1), 'description': 'of an application: the tag that its servers have'},
    'project_id': {**ID, 'description': 'the project whose servers have the tag'},
    'source_pod': {**text(255, 1), 'description': 'of a drain: name or id of the pod'},
    'target_pods': {
        'type': 'array',
        'items': text(255, 1),
        'minItems': 1,
        'maxItems': 1000,
        'description': 'names or ids of the pods to move to: the scheduler chooses among them',
    },
    'zone': {**text(255, 1), 'description': 'the availability zone to move to, or to rebalance'},
    'on_failure': {'type': 'string', 'enum': list(ON_FAILURE)},
    'max_failures': {**_COUNT, 'description': 'with on_failure=continue: pause when more have failed'},
    'parallel': {**_COUNT, 'minimum': 1, 'maximum': 1000, 'description': 'most moves under way at a time'},
    'canary': {**_COUNT, 'description': 'members of the first wave'},
    'wave': {**_COUNT, 'description': 'members of each later wave; 0: all'},
    'bytes_per_second': {
        **_COUNT,
        'maximum': 10**15,
        'description': 'how much the moves copy on average at most; 0: any amount',
    },
    'window': {'type': 'string', 'pattern': WINDOW, 'description': 'times of day in UTC between which moves begin'},
    'confirm_seconds': CONFIRM_SECONDS,
    'dry_run': DRY_RUN,
}
CREATE = Body('move_group', record(_FIELDS, ('kind',)))
_SORTABLE = ('id', 'kind', 'name', 'project_id', 'state', 'created_at', 'updated_at')
LIST = Query(
    **PAGE,
    sort=sort(*_SORTABLE),
    kind={'type': 'string', 'enum': list(GROUP_KINDS)},
    project_id=ID,
    source_pod_id=ID,
    status={'type': 'string', 'enum': list(GROUP_STATUSES)},
    active=BOOLEAN,
)
MEMBERS = Query(
    **{**PAGE, 'marker': NUMBER},
    sort=sort('position', 'state', 'resource_type', 'project_id'),
    state={'type': 'string', 'enum': list(MEMBER_STATES)},
    resource_type={'type': 'string', 'enum': ['server', 'volume']},
    project_id=ID,
    resource_id=ID,
)
VERB = Options('move_group', record({}))
