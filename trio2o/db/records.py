# SPDX-License-Identifier: Apache-2.0
"""What the rest of the program sees of the tables: frozen, and no session behind it.

Fields have the names of the columns. Times are UTC without a zone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

POD_STATES = ('enabled', 'disabled', 'draining', 'maintenance')
ROUTING_STATES = ('creating', 'active', 'deleting', 'deleted')
LIVE_STATES = tuple(state for state in ROUTING_STATES if state != 'deleted')
REPLICA_STATES = ('in_sync', 'behind', 'failed', 'gone')
JOB_STATES = ('new', 'running', 'success', 'fail', 'cancelled')
JOB_ACTIVE_STATES = ('new', 'running')


@dataclass(frozen=True, slots=True)
class Pod:
    """A bottom cloud; `is_top` when it is the top region itself, which nothing is placed in."""

    pod_id: str
    pod_name: str
    az_name: str
    pod_az_name: str
    dc_name: str
    number: int
    state: str
    state_reason: str
    resource_affinity_tag: Mapping[str, Any] | None
    headroom: Mapping[str, Any] | None
    endpoints: Mapping[str, Any] | None
    is_reconciled: bool
    reconciled_at: datetime | None
    followed_at: datetime | None
    created_at: datetime
    updated_at: datetime | None

    @property
    def is_top(self) -> bool:
        return not self.az_name


@dataclass(frozen=True, slots=True)
class PodStateChange:
    id: int
    pod_id: str
    from_state: str
    to_state: str
    reason: str
    user_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Binding:
    """A project's binding to a pod; `is_pinned` when an operator made it, who may have made it `is_exclusive`."""

    id: str
    tenant_id: str
    pod_id: str
    az_name: str
    affinity_group: str
    is_pinned: bool
    is_exclusive: bool
    started_at: datetime
    ended_at: datetime | None
    created_at: datetime
    updated_at: datetime | None

    @property
    def is_current(self) -> bool:
        return self.ended_at is None


@dataclass(frozen=True, slots=True)
class Routing:
    """Where a resource is. `created_at` is the resource's own time, when it is known."""

    id: int
    top_id: str
    bottom_id: str
    pod_id: str
    project_id: str
    resource_type: str
    created_at: datetime | None
    deltas: Mapping[str, int] | None
    state: str
    recorded_at: datetime
    deleted_at: datetime | None
    user_id: str = ''

    @property
    def is_live(self) -> bool:
        return self.state != 'deleted'


@dataclass(frozen=True, slots=True)
class NewRouting:
    """A routing about to be recorded; without `bottom_id` both ids are the same."""

    resource_type: str
    top_id: str
    pod_id: str
    project_id: str
    bottom_id: str | None = None
    created_at: datetime | None = None
    deltas: Mapping[str, int] | None = None
    state: str = 'active'
    user_id: str = ''


@dataclass(frozen=True, slots=True)
class ReplicatedObject:
    id: int
    kind: str
    key: str
    top_id: str | None
    wanted: Any
    generation: int
    is_deleted: bool
    created_at: datetime
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Replica:
    object_id: int
    pod_id: str
    bottom_id: str | None
    generation: int
    state: str
    error: str | None
    attempts: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ServerGroupCopy:
    """A resource of one pod as it stands in a pod; `is_origin` in its own."""

    id: int
    resource_type: str
    top_id: str
    pod_id: str
    project_id: str
    bottom_id: str | None
    definition: Any
    state: str
    busy_until: datetime | None
    used_in: str | None
    users: int

    @property
    def is_origin(self) -> bool:
        return self.bottom_id == self.top_id


@dataclass(frozen=True, slots=True)
class PodUsage:
    pod_id: str
    service: str
    data: Any
    collected_at: datetime


@dataclass(frozen=True, slots=True)
class Job:
    id: str
    type: str
    resource_key: str
    pod_id: str | None
    payload: Any
    state: str
    attempts: int
    max_attempts: int
    run_after: datetime
    lease_owner: str | None
    lease_until: datetime | None
    is_rerun_wanted: bool
    is_cancel_wanted: bool
    progress: Any
    result: Any
    error: str | None
    request_id: str | None
    created_at: datetime
    updated_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def is_active(self) -> bool:
        return self.state in JOB_ACTIVE_STATES


@dataclass(frozen=True, slots=True)
class JobEvent:
    id: int
    job_id: str
    at: datetime
    state: str
    attempt: int
    owner: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class QuotaClaim:
    id: str
    project_id: str
    user_id: str
    resources: Mapping[str, int]
    request_id: str
    pod_id: str | None
    resource_type: str
    state: str
    created_at: datetime
    expires_at: datetime | None
    resource_id: str = ''


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    id: int
    project_id: str
    user_id: str
    resource: str
    in_use: int
    claimed: int
    recounted_at: datetime | None
    updated_at: datetime | None
