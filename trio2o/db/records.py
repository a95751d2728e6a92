# SPDX-License-Identifier: Apache-2.0
"""The tables, and the records that represent their rows in the rest of the program.

A change of a table needs a migration; a test compares the tables with the migrations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from sqlalchemy import Index, SmallInteger, String, UniqueConstraint

from trio2o.db.table import (
    BigInt,
    Bool,
    Counter,
    Int,
    JobId,
    Json,
    JsonAmounts,
    JsonObject,
    LongStr,
    NullableJson,
    NumberKey,
    ObjectKey,
    PodId,
    PodKey,
    Record,
    SmallInt,
    Spec,
    Str16,
    Str32,
    Str64,
    Str255,
    Str320,
    Str512,
    Str1024,
    Time,
    Uuid,
    UuidKey,
    table,
)

POD_STATES = ('enabled', 'disabled', 'draining', 'maintenance')
#: States of a routing. Trio2o itself sets ACTIVE and DELETED; an operator may set the others through the Admin API.
ROUTING_STATES = CREATING, ACTIVE, DELETING, DELETED = ('creating', 'active', 'deleting', 'deleted')
#: States of the routings of resources that exist.
LIVE_STATES = (CREATING, ACTIVE, DELETING)
REPLICA_STATES = ('in_sync', 'out_of_sync', 'failed', 'gone')
JOB_STATES = ('new', 'running', 'success', 'fail', 'cancelled')
JOB_ACTIVE_STATES = ('new', 'running')

#: States of a move: the last step that changed what an operator decides about. `PAUSED`, `STUCK`, `CANCELLING` and
#: `CONFIRMING` are shown in place of it (`Move.status`).
MOVE_STATES = PLANNED, FROZEN, COPIED, VERIFIED, BUILT, SWITCHED, CONFIRMED, REVERTED, ABANDONED = (
    'planned',
    'frozen',
    'copied',
    'verified',
    'built',
    'switched',
    'confirmed',
    'reverted',
    'abandoned',
)
#: States of the moves that have ended.
MOVE_END_STATES = (CONFIRMED, REVERTED, ABANDONED)
MOVE_ACTIVE_STATES = tuple(state for state in MOVE_STATES if state not in MOVE_END_STATES)
PAUSED, STUCK, CANCELLING, CONFIRMING = ('paused', 'stuck', 'cancelling', 'confirming')
#: What an active move is shown as, and what any move is (`Move.status`).
MOVE_ACTIVE_STATUSES = (*MOVE_ACTIVE_STATES, PAUSED, STUCK, CANCELLING, CONFIRMING)
MOVE_STATUSES = (*MOVE_ACTIVE_STATUSES, *MOVE_END_STATES)
#: Kinds of move groups.
GROUP_KINDS = APPLICATION, DRAIN, REBALANCE = ('application', 'drain', 'rebalance')
#: States of a move group. `PAUSED`, `CANCELLING` and `REVERTING` are shown in place of `RUNNING` (`MoveGroup.status`).
RUNNING, COMPLETED, CANCELLED, REVERTING = ('running', 'completed', 'cancelled', 'reverting')
GROUP_ACTIVE_STATUSES = (RUNNING, PAUSED, CANCELLING, REVERTING)
GROUP_STATUSES = (*GROUP_ACTIVE_STATUSES, COMPLETED, CANCELLED, REVERTED)
#: States of a member of a move group.
WAITING, MOVING, UNDOING, MOVED, REFUSED, FAILED, UNDONE = (
    'waiting',
    'moving',
    'undoing',
    'moved',
    'refused',
    'failed',
    'undone',
)
#: States of what a move makes: not begun, request sent, made, deleted again.
ITEM_STATES = ITEM_PLANNED, SENT, MADE, GONE = ('planned', 'sent', 'made', 'gone')
MEMBER_STATES = (WAITING, MOVING, UNDOING, SWITCHED, CONFIRMING, MOVED, REFUSED, FAILED, UNDONE, GONE)
#: States of the members whose moves have not ended.
MEMBER_ACTIVE_STATES = (MOVING, UNDOING, SWITCHED, CONFIRMING)

#: Wish of an operator -> status of a move group.
_SHOWN_WISHES = {'cancel': CANCELLING, 'revert': REVERTING}

#: Columns that only this package needs. Operators are not shown them.
BOOKKEEPING = frozenset({'changed_in'})

#: All tables, for migrations.
METADATA = Record.metadata


@table(
    'pods',
    UniqueConstraint('pod_name', name='uniq_pods0pod_name'),
    UniqueConstraint('number', name='uniq_pods0number'),
)
@dataclass(frozen=True, slots=True)
class Pod(Record):
    """A pod; or, with an empty `az_name`, the top region itself, in which nothing is created.

    `pod_az_name` is the name of the pod's zone in its services, empty if they get no zone. `pod_volume_az_name` is the
    name in its Block Storage service, null if it is the same there.

    `reconciled_at` is the time for which all resources of the pod were compared with the routings, `followed_at` the
    time up to which changes in the pod have been read. `adopted_at` is the time at which the objects that only this
    pod had were recorded, to be replicated to the other pods. `changed_in` is the version of the table in which
    the pod was last changed, `followed_at` apart.
    """

    pod_id: UuidKey
    pod_name: Str255
    az_name: Str255
    pod_az_name: Str255
    dc_name: Str255
    number: SmallInt
    state: Str16
    state_reason: Str1024
    resource_affinity_tag: JsonObject | None
    headroom: JsonObject | None
    endpoints: JsonObject | None
    is_reconciled: Bool
    reconciled_at: Time | None
    followed_at: Time | None
    created_at: Time
    updated_at: Time | None
    pod_volume_az_name: Str255 | None = None
    adopted_at: Time | None = None
    changed_in: Counter = field(default=0, compare=False)

    @property
    def is_top(self) -> bool:
        return not self.az_name


@table('table_versions')
@dataclass(frozen=True, slots=True)
class TableVersion(Record):
    """The version of a table. Each change of the table increases it in the same transaction."""

    name: Annotated[str, Spec(String(64), primary_key=True)]
    version: BigInt


@table('pod_state_changes', Index('ix_pod_state_changes_pod_id', 'pod_id'))
@dataclass(frozen=True, slots=True)
class PodStateChange(Record):
    """A change of a pod's state, with its reason and user. It stays when the pod is deleted: no foreign key."""

    id: NumberKey
    pod_id: Uuid
    from_state: Str16
    to_state: Str16
    reason: Str1024
    user_id: Str64
    at: Time


@table('retired_pod_numbers')
@dataclass(frozen=True, slots=True)
class RetiredPodNumber(Record):
    """The number of a deleted pod, which the next pods do not get, see ``gateway.admin.ids``."""

    number: Annotated[int, Spec(SmallInteger(), primary_key=True, autoincrement=False)]
    retired_at: Time


@table('pod_hosts')
@dataclass(frozen=True, slots=True)
class PodHost(Record):
    """A compute host that a pod had when its hosts were last listed."""

    pod_id: PodKey
    host: Annotated[str, Spec(String(255), primary_key=True)]


@table('pod_usages')
@dataclass(frozen=True, slots=True)
class PodUsage(Record):
    """Capacity and use of one service of a pod when they were last read."""

    pod_id: PodKey
    service: Annotated[str, Spec(String(32), primary_key=True)]
    data: Json
    collected_at: Time


@table(
    'pod_bindings',
    UniqueConstraint('current_key', name='uniq_pod_bindings0current_key'),
    Index('ix_pod_bindings_tenant_id_ended_at', 'tenant_id', 'ended_at'),
    Index('ix_pod_bindings_pod_id', 'pod_id'),
)
@dataclass(frozen=True, slots=True)
class Binding(Record):
    """A project's binding to a pod, current or ended.

    A binding that an operator made is `is_pinned`. It may also be `is_exclusive`; then the scheduler chooses no other
    pod of the same zone and affinity group for the project.

    `current_key` is unique, and null for a binding that has ended. The key of a binding that the scheduler made
    consists of project, zone and affinity group, so that of two concurrent requests only one can insert a binding. The
    key of a pinned binding consists of project and pod.
    """

    id: UuidKey
    tenant_id: Str64
    pod_id: PodId
    az_name: Str255
    affinity_group: Str255
    is_pinned: Bool
    is_exclusive: Bool
    current_key: Str64 | None
    started_at: Time
    ended_at: Time | None
    created_at: Time
    updated_at: Time | None

    @property
    def is_current(self) -> bool:
        return self.ended_at is None


# The indexes that begin with the type contain `state`, so that the database can skip rows of deleted resources without
# reading them.
@table(
    'routings',
    UniqueConstraint('top_id', 'resource_type', name='uniq_routings0top_id0resource_type'),
    Index(
        'ix_routings_type_project_pod_created',
        'resource_type',
        'project_id',
        'pod_id',
        'created_at',
        'state',
    ),
    Index(
        'ix_routings_type_project_state_created',
        'resource_type',
        'project_id',
        'state',
        'created_at',
        'pod_id',
    ),
    Index('ix_routings_type_state_created', 'resource_type', 'state', 'created_at', 'pod_id'),
    Index('ix_routings_type_pod_created', 'resource_type', 'pod_id', 'created_at', 'state'),
    Index('ix_routings_bottom_id', 'bottom_id', 'resource_type'),
    Index('ix_routings_pod_id', 'pod_id'),
    Index('ix_routings_state_deleted_at', 'state', 'deleted_at'),
)
@dataclass(frozen=True, slots=True)
class Routing(Record):
    """The pod that holds a resource.

    `created_at` is the time at which the resource was created, if known. `deltas` are the amounts that the resource
    uses of the quota of its project, and of its user if that is known; null if not known yet.
    """

    id: NumberKey
    top_id: Str64
    bottom_id: Str64
    pod_id: PodId
    project_id: Str64
    resource_type: Str32
    created_at: Time | None
    deltas: JsonAmounts | None
    state: Str16
    recorded_at: Time
    deleted_at: Time | None
    user_id: Str64 = ''

    @property
    def is_live(self) -> bool:
        return self.state != DELETED


@dataclass(frozen=True, slots=True)
class NewRouting:
    """A routing to be recorded. If `bottom_id` is None, it is the same as `top_id`."""

    resource_type: str
    top_id: str
    pod_id: str
    project_id: str
    bottom_id: str | None = None
    created_at: datetime | None = None
    deltas: Mapping[str, int] | None = None
    state: str = ACTIVE
    user_id: str = ''


@table(
    'moved_resources',
    UniqueConstraint('top_id', 'resource_type', name='uniq_moved_resources0top_id0resource_type'),
)
@dataclass(frozen=True, slots=True)
class MovedResource(Record):
    """A resource whose id in the pod differs from the id that tenants use. Its routing has both ids, too.

    `shown` has the fields of the resource that tenants see in place of those of the pod: `{name: [below, above]}`.
    They see the value `above` for as long as the pod shows `below`, which it showed at the move. So a field that the
    owner changes later, such as the image by a rebuild, is shown as it is in the pod from then on.
    """

    id: NumberKey
    resource_type: Str32
    top_id: Str64
    bottom_id: Str64
    pod_id: PodId
    created_at: Time
    shown: NullableJson = None


class MoveStatus:
    """What the state of a move says, of ``Move`` and of shorter records."""

    __slots__ = ()
    state: str
    is_forward: bool
    hold: str
    wish: str

    @property
    def is_active(self) -> bool:
        return self.state not in MOVE_END_STATES

    @property
    def is_switched(self) -> bool:
        """Whether the target has the resource that tenants see."""
        return self.state in (SWITCHED, CONFIRMED) or (self.state == ABANDONED and self.is_forward)

    @property
    def status(self) -> str:
        """The state as operators see it."""
        if not self.is_active:
            return self.state
        if self.hold:
            return self.hold
        if not self.is_forward:
            return CANCELLING
        return CONFIRMING if self.wish == 'confirm' and self.state == SWITCHED else self.state


@table(
    'moves',
    Index('ix_moves_project_id_created_at', 'project_id', 'created_at'),
    Index('ix_moves_ended_at', 'ended_at'),
    Index('ix_moves_resource_id', 'resource_id'),
)
@dataclass(frozen=True, slots=True)
class Move(MoveStatus, Record):
    """The move of a server with its volumes, or of a detached volume, from one pod to another.

    `plan` is made once and never changed; `facts` has what the steps found out. `is_forward` is False while the steps
    are undone; of an abandoned move it says whether the routings lead to the target. `ended_at` of an abandoned move
    is empty for as long as something is left of it. `hold` is empty, or says why no step begins: an operator paused
    the move, or it is stuck. `wish` is empty or `confirm`. `steps_done` and `bytes_done` only grow. The pods are no
    foreign keys, as moves that have ended are kept when a pod is deleted.
    """

    id: UuidKey
    project_id: Str64
    user_id: Str64
    resource_type: Str32
    resource_id: Str64
    name: Str255 | None
    source_pod_id: Uuid
    target_pod_id: Uuid
    state: Str16
    is_forward: Bool
    hold: Str16
    wish: Str16
    step: Str64 | None
    steps_done: Int
    steps_total: Int
    bytes_done: BigInt
    bytes_total: BigInt
    plan: Json
    facts: Json
    error: LongStr | None
    confirm_seconds: Int
    confirm_at: Time | None
    request_id: Str64 | None
    created_at: Time
    updated_at: Time
    ended_at: Time | None
    group_id: Uuid | None = None


@table(
    'move_items',
    UniqueConstraint('move_id', 'key', name='uniq_move_items0move_id0key'),
    UniqueConstraint('active_key', name='uniq_move_items0active_key'),
    Index('ix_move_items_top_id', 'top_id'),
)
@dataclass(frozen=True, slots=True)
class MoveItem(Record):
    """One thing that a move takes from a pod or makes in one: a line of its ledger.

    `key` names it within the move, such as `target/volume/ID`. `name` is that in the pod's list. `top_id` is the id
    that tenants know; empty for what only the move needs. `bottom_id` is the id in the pod, once it is known.
    `delete_on` is the state in which the move deletes it: `confirmed`, `reverted`, both separated by a comma, or
    empty. `active_key` is unique. It is that of a resource that moves until the move ends, so that it has only one.
    `host` and `node` are those of a server, as its pod names them; in the target, `host` is the wanted one, if there
    is one, until the server is built.
    """

    id: NumberKey
    move_id: Annotated[str, Spec(String(36), references='moves.id')]
    key: Str255
    active_key: Str320 | None
    pod_id: Uuid
    resource_type: Str32
    name: Str255
    top_id: Str64
    bottom_id: Str64
    state: Str16
    delete_on: Str32
    sent_at: Time | None
    created_at: Time
    host: Str255 | None
    node: Str255 | None

    @property
    def marker(self) -> str:
        """What shows in its pod that the move made it; also the name of what only the move needs."""
        return f'{self.move_id} {self.key}'

    @property
    def is_source(self) -> bool:
        """Whether it is a resource that tenants know, as it is in the source."""
        return self.key.startswith('source/')


@table(
    'move_groups',
    UniqueConstraint('active_key', name='uniq_move_groups0active_key'),
    Index('ix_move_groups_created_at', 'created_at'),
    Index('ix_move_groups_ended_at', 'ended_at'),
)
@dataclass(frozen=True, slots=True)
class MoveGroup(Record):
    """Servers and volumes that are moved by one order: an application, a drain of a pod, or rebalancing a zone.

    `project_id` is empty if members may belong to several projects. `targets` are the ids of the pods that members may
    be moved to; if it is empty, the scheduler chooses among those of `zone`. `options` are those of
    `trio2o.moves.groups.options.Options`. `hold` is empty or `paused`, `wish` is empty, `cancel` or `revert`.
    `active_key` is unique: a pod has one drain at a time. At `confirm_at` those moves are
    confirmed that have switched. `percent` only grows until somebody resumes the group. The bytes are those of the
    moves begun so far.
    """

    id: UuidKey
    kind: Str16
    name: Str255
    project_id: Str64
    user_id: Str64
    source_pod_id: Uuid | None
    zone: Str255
    targets: Json
    options: Json
    state: Str16
    hold: Str16
    wish: Str16
    reason: LongStr | None
    active_key: Str320 | None
    next_start_at: Time | None
    confirm_at: Time | None
    percent: Int
    bytes_done: BigInt
    bytes_total: BigInt
    request_id: Str64 | None
    created_at: Time
    updated_at: Time
    ended_at: Time | None

    @property
    def is_active(self) -> bool:
        return self.state == RUNNING

    @property
    def status(self) -> str:
        """The state as operators see it."""
        if not self.is_active:
            return self.state
        if self.wish in _SHOWN_WISHES:
            return _SHOWN_WISHES[self.wish]
        return self.hold or self.state


@table(
    'move_group_members',
    UniqueConstraint(
        'group_id', 'resource_type', 'resource_id', name='uniq_move_group_members0group_id0resource_type0resource_id'
    ),
    Index('ix_move_group_members_group_state', 'group_id', 'state', 'wave', 'position'),
    Index('ix_move_group_members_move_id', 'move_id'),
)
@dataclass(frozen=True, slots=True)
class MoveGroupMember(Record):
    """A server or volume of a move group.

    Members with the same `part` are moved by one move. A wave begins when all members of the one before have ended.
    `tries` counts the moves, of which `move_id` is the last one. `not_before` is set after a failure.
    """

    id: NumberKey
    group_id: Annotated[str, Spec(String(36), references='move_groups.id')]
    position: Int
    part: Int
    wave: Int
    resource_type: Str32
    resource_id: Str64
    project_id: Str64
    name: Str255
    target_pod_id: Uuid | None
    state: Str16
    tries: Int
    not_before: Time | None
    reason: LongStr | None
    move_id: Uuid | None
    updated_at: Time


@table(
    'quotas',
    UniqueConstraint('project_id', 'user_id', 'resource', name='uniq_quotas0project_id0user_id0resource'),
)
@dataclass(frozen=True, slots=True)
class QuotaLimit(Record):
    """A limit of a project; or, if `user_id` is not empty, of a user in it."""

    id: NumberKey
    project_id: Str64
    user_id: Str64
    resource: Str255
    hard_limit: BigInt
    created_at: Time
    updated_at: Time | None


@table(
    'quota_classes',
    UniqueConstraint('class_name', 'resource', name='uniq_quota_classes0class_name0resource'),
)
@dataclass(frozen=True, slots=True)
class QuotaClass(Record):
    """A limit of a quota class, for projects without limits of their own."""

    id: NumberKey
    class_name: Str255
    resource: Str255
    hard_limit: BigInt
    created_at: Time
    updated_at: Time | None


@table(
    'quota_usages',
    UniqueConstraint('project_id', 'user_id', 'resource', name='uniq_quota_usages0project_id0user_id0resource'),
)
@dataclass(frozen=True, slots=True)
class QuotaUsage(Record):
    """A counter: the amount in use, and the amount reserved by open claims."""

    id: NumberKey
    project_id: Str64
    user_id: Str64
    resource: Str255
    in_use: BigInt
    claimed: BigInt
    recounted_at: Time | None
    updated_at: Time | None


@table(
    'quota_claims',
    Index('ix_quota_claims_state_expires_at', 'state', 'expires_at'),
    Index('ix_quota_claims_project_id', 'project_id'),
    Index('ix_quota_claims_resource_id', 'resource_id'),
)
@dataclass(frozen=True, slots=True)
class QuotaClaim(Record):
    """An open claim: amounts of the quota that are reserved for a request until its outcome in the pod is known.

    `state` is `open` while the request is served, `unknown` if its outcome in the pod is unknown, and `watch` if the
    pod accepted the request and has not completed it. `resource_id` is the id of the resource that the request
    changes; empty for a create. At `expires_at` a job tries to settle the claim.
    """

    id: UuidKey
    project_id: Str64
    user_id: Str64
    resources: JsonAmounts
    request_id: Str64
    pod_id: Uuid | None
    resource_type: Str32
    state: Str16
    created_at: Time
    expires_at: Time | None
    resource_id: Str64 = ''


@table(
    'replicated_objects',
    UniqueConstraint('kind', 'key', name='uniq_replicated_objects0kind0key'),
    Index('ix_replicated_objects_kind_top_id', 'kind', 'top_id'),
    Index('ix_replicated_objects_changed_in', 'changed_in'),
)
@dataclass(frozen=True, slots=True)
class ReplicatedObject(Record):
    """A replicated object. `wanted` is its desired state; each change of that increases `generation`.

    `changed_in` is the version of the table of replicas in which the object was last changed.
    """

    id: NumberKey
    kind: Str64
    key: Str512
    top_id: Str255 | None
    wanted: NullableJson
    generation: Int
    is_deleted: Bool
    created_at: Time
    updated_at: Time | None
    changed_in: Counter = field(default=0, compare=False)


@table(
    'replicas',
    Index('ix_replicas_pod_id_state', 'pod_id', 'state'),
    Index('ix_replicas_bottom_id', 'bottom_id'),
    Index('ix_replicas_changed_in', 'changed_in'),
)
@dataclass(frozen=True, slots=True)
class Replica(Record):
    """A replicated object in one pod, with the generation that was last written there.

    `changed_in` is the version of the table in which it was last changed.
    """

    object_id: ObjectKey
    pod_id: PodKey
    bottom_id: Str255 | None
    generation: Int
    state: Str16
    error: LongStr | None
    attempts: Int
    updated_at: Time
    changed_in: Counter = field(default=0, compare=False)


@table(
    'server_group_copies',
    UniqueConstraint('top_id', 'pod_id', name='uniq_server_group_copies0top_id0pod_id'),
    Index('ix_server_group_copies_pod_id_bottom_id', 'pod_id', 'bottom_id'),
)
@dataclass(frozen=True, slots=True)
class ServerGroupCopy(Record):
    """A server group in one pod: the original, or a copy under an id that the pod chose.

    The row of the original (`is_original`) has the definition that copies are made from and, for a group with the
    affinity policy, the pod that may have members now (`used_in`). `bottom_id` is null while a copy is being made.
    """

    id: NumberKey
    top_id: Str64
    pod_id: PodId
    project_id: Str64
    bottom_id: Str64 | None
    definition: NullableJson
    state: Str16
    busy_until: Time | None
    used_in: Uuid | None
    users: Int
    created_at: Time

    @property
    def is_original(self) -> bool:
        return self.bottom_id == self.top_id


@table('transfer_keys', Index('ix_transfer_keys_created_at', 'created_at'))
@dataclass(frozen=True, slots=True)
class TransferKey(Record):
    """The key of a volume transfer, as a salted hash."""

    transfer_id: Annotated[str, Spec(String(64), primary_key=True)]
    salt: Str32
    digest: Str64
    created_at: Time


@table(
    'jobs',
    UniqueConstraint('active_key', name='uniq_jobs0active_key'),
    Index('ix_jobs_state_run_after', 'state', 'run_after'),
    Index('ix_jobs_state_type_pod_id_run_after', 'state', 'type', 'pod_id', 'run_after'),
    Index('ix_jobs_type_state', 'type', 'state'),
    Index('ix_jobs_type_resource_key', 'type', 'resource_key'),
    Index('ix_jobs_created_at', 'created_at'),
    Index('ix_jobs_finished_at', 'finished_at'),
)
@dataclass(frozen=True, slots=True)
class Job(Record):
    """Work that outlives a request.

    `active_key` is unique. It consists of type and resource key while the job is new or running, and is null
    afterwards, so that a resource has at most one active job of a type. `pod_id` is the pod that the job calls. It is
    not a foreign key, as the pod may be deleted before the job. `rerun_payload` is the payload of the run that follows
    a running job if `is_rerun_wanted`.
    """

    id: UuidKey
    type: Str64
    resource_key: Str255
    active_key: Str320 | None
    pod_id: Uuid | None
    payload: NullableJson
    state: Str16
    attempts: Int
    max_attempts: Int
    run_after: Time
    lease_owner: Str255 | None
    lease_until: Time | None
    is_rerun_wanted: Bool
    rerun_payload: NullableJson
    is_cancel_wanted: Bool
    progress: NullableJson
    result: NullableJson
    error: LongStr | None
    request_id: Str64 | None
    created_at: Time
    updated_at: Time | None
    started_at: Time | None
    finished_at: Time | None

    @property
    def is_active(self) -> bool:
        return self.state in JOB_ACTIVE_STATES


@table('job_history', Index('ix_job_history_job_id', 'job_id'))
@dataclass(frozen=True, slots=True)
class JobEvent(Record):
    """An event in the history of a job: an attempt that ended, a cancellation, a new run."""

    id: NumberKey
    job_id: JobId
    at: Time
    state: Str16
    attempt: Int
    owner: Str255 | None
    error: LongStr | None
