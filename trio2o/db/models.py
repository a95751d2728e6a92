# SPDX-License-Identifier: Apache-2.0
"""The tables, and nothing else. What the rest of the program sees is in `records`.

Times are UTC without a zone and keep microseconds on every server. JSON is text: nothing is ever
looked up inside it. Strings compare exactly (MySQL and MariaDB would ignore case), and unique or
indexed ones are short enough for InnoDB's 3072 bytes at four bytes a character.

A change here needs a migration; a test compares the two.
"""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

BIG_ID = BigInteger().with_variant(Integer, 'sqlite')
LONG_TEXT = Text().with_variant(mysql.MEDIUMTEXT, 'mysql', 'mariadb')


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC with microseconds; one with a zone is converted on its way in."""

    impl = DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is not None and value.tzinfo is not None:
            return value.astimezone(UTC).replace(tzinfo=None)
        return value


class Json(TypeDecorator[Any]):
    """Anything JSON can say, as text; None is NULL."""

    impl = LONG_TEXT
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else json.dumps(value, separators=(',', ':'))

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        return None if value is None else json.loads(value)


class Base(DeclarativeBase):
    """What all tables share."""

    __table_args__: Any = {
        'mysql_engine': 'InnoDB',
        'mysql_charset': 'utf8mb4',
        'mysql_collate': 'utf8mb4_bin',
    }


def _table(*rules: Any) -> tuple[Any, ...]:
    return (*rules, Base.__table_args__)


def _pod_id(**kwargs: Any) -> Any:
    return mapped_column(String(36), ForeignKey('pods.pod_id'), **kwargs)


class Pod(Base):
    """A bottom cloud; with an empty `az_name` the top region itself."""

    __tablename__ = 'pods'
    __table_args__ = _table(
        UniqueConstraint('pod_name', name='uniq_pods0pod_name'),
        UniqueConstraint('number', name='uniq_pods0number'),
    )

    pod_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    pod_name: Mapped[str] = mapped_column(String(255))
    az_name: Mapped[str] = mapped_column(String(255), default='')
    pod_az_name: Mapped[str] = mapped_column(String(255), default='')
    dc_name: Mapped[str] = mapped_column(String(255), default='')
    number: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str] = mapped_column(String(16), default='enabled')
    state_reason: Mapped[str] = mapped_column(String(1024), default='')
    resource_affinity_tag: Mapped[Any | None] = mapped_column(Json)
    headroom: Mapped[Any | None] = mapped_column(Json)
    endpoints: Mapped[Any | None] = mapped_column(Json)
    is_reconciled: Mapped[bool] = mapped_column(Boolean, default=False)
    reconciled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    followed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class PodStateChange(Base):
    """Who put a pod into which state, and why. Kept when the pod is gone, so no foreign key."""

    __tablename__ = 'pod_state_changes'
    __table_args__ = _table(Index('ix_pod_state_changes_pod_id', 'pod_id'))

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    pod_id: Mapped[str] = mapped_column(String(36))
    from_state: Mapped[str] = mapped_column(String(16))
    to_state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(1024), default='')
    user_id: Mapped[str] = mapped_column(String(64), default='')
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class PodBinding(Base):
    """A project belongs to a pod, now or once.

    `current_key` is null in what has ended. While current it is the same for all automatic
    bindings of one project, zone and affinity group, so that of two that race one is refused; a
    binding made by hand (`is_pinned`) has one of its project and pod. An exclusive one, made by hand as well, keeps
    the project off the other pods of that zone and group.
    """

    __tablename__ = 'pod_bindings'
    __table_args__ = _table(
        UniqueConstraint('current_key', name='uniq_pod_bindings0current_key'),
        Index('ix_pod_bindings_tenant_id_ended_at', 'tenant_id', 'ended_at'),
        Index('ix_pod_bindings_pod_id', 'pod_id'),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(String(64))
    pod_id: Mapped[str] = _pod_id()
    az_name: Mapped[str] = mapped_column(String(255), default='')
    affinity_group: Mapped[str] = mapped_column(String(255), default='')
    is_pinned: Mapped[bool] = mapped_column(Boolean, default=False)
    is_exclusive: Mapped[bool] = mapped_column(Boolean, default=False)
    current_key: Mapped[str | None] = mapped_column(String(64))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Routing(Base):
    """Which pod holds a resource.

    `created_at` is the resource's own. `deltas` is what it counts for in the quota of its project, and of its user
    where that is known; null while nobody knows. `state` closes the two indexes that begin with the type,
    so that rows of deleted resources are passed over without being read.
    """

    __tablename__ = 'routings'
    __table_args__ = _table(
        UniqueConstraint('top_id', 'resource_type', name='uniq_routings0top_id0resource_type'),
        Index(
            'ix_routings_type_project_pod_created',
            'resource_type',
            'project_id',
            'pod_id',
            'created_at',
            'state',
        ),
        Index('ix_routings_type_pod_created', 'resource_type', 'pod_id', 'created_at', 'state'),
        Index('ix_routings_bottom_id', 'bottom_id', 'resource_type'),
        Index('ix_routings_pod_id', 'pod_id'),
        Index('ix_routings_state_deleted_at', 'state', 'deleted_at'),
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    top_id: Mapped[str] = mapped_column(String(64))
    bottom_id: Mapped[str] = mapped_column(String(64))
    pod_id: Mapped[str] = _pod_id()
    project_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64), default='')
    resource_type: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    deltas: Mapped[Any | None] = mapped_column(Json)
    state: Mapped[str] = mapped_column(String(16), default='active')
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class MovedResource(Base):
    """A resource that is in its pod under another id than tenants know. Its routing says so, too."""

    __tablename__ = 'moved_resources'
    __table_args__ = _table(
        UniqueConstraint('top_id', 'resource_type', name='uniq_moved_resources0top_id0resource_type')
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    resource_type: Mapped[str] = mapped_column(String(32))
    top_id: Mapped[str] = mapped_column(String(64))
    bottom_id: Mapped[str] = mapped_column(String(64))
    pod_id: Mapped[str] = _pod_id()
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Quota(Base):
    """A limit of a project, or of a user in it."""

    __tablename__ = 'quotas'
    __table_args__ = _table(
        UniqueConstraint('project_id', 'user_id', 'resource', name='uniq_quotas0project_id0user_id0resource')
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    project_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64), default='')
    resource: Mapped[str] = mapped_column(String(255))
    hard_limit: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class QuotaClass(Base):
    """A limit of everybody who has none of his own."""

    __tablename__ = 'quota_classes'
    __table_args__ = _table(UniqueConstraint('class_name', 'resource', name='uniq_quota_classes0class_name0resource'))

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    class_name: Mapped[str] = mapped_column(String(255))
    resource: Mapped[str] = mapped_column(String(255))
    hard_limit: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class QuotaUsage(Base):
    """What is in use, and what open claims hold on top of it."""

    __tablename__ = 'quota_usages'
    __table_args__ = _table(
        UniqueConstraint(
            'project_id',
            'user_id',
            'resource',
            name='uniq_quota_usages0project_id0user_id0resource',
        )
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    project_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64), default='')
    resource: Mapped[str] = mapped_column(String(255))
    in_use: Mapped[int] = mapped_column(BigInteger, default=0)
    claimed: Mapped[int] = mapped_column(BigInteger, default=0)
    recounted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class QuotaClaim(Base):
    """An open claim: what a request took of the quota before its outcome is known, or is what is seen in the pod.

    `state` is `open` while the request is served, `unknown` when its pod did not answer, and `watch` when the pod
    said yes and is not done yet. `resource_id` is of what the request changes; creates have none. At `expires_at`
    it is looked into.
    """

    __tablename__ = 'quota_claims'
    __table_args__ = _table(
        Index('ix_quota_claims_state_expires_at', 'state', 'expires_at'),
        Index('ix_quota_claims_project_id', 'project_id'),
        Index('ix_quota_claims_resource_id', 'resource_id'),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(64), default='')
    resources: Mapped[Any] = mapped_column(Json)
    request_id: Mapped[str] = mapped_column(String(64), default='')
    pod_id: Mapped[str | None] = mapped_column(String(36))
    resource_type: Mapped[str] = mapped_column(String(32), default='')
    resource_id: Mapped[str] = mapped_column(String(64), default='')
    state: Mapped[str] = mapped_column(String(16), default='open')
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ReplicatedObject(Base):
    """What must exist in every pod; `generation` grows with every change of `wanted`."""

    __tablename__ = 'replicated_objects'
    __table_args__ = _table(
        UniqueConstraint('kind', 'key', name='uniq_replicated_objects0kind0key'),
        Index('ix_replicated_objects_kind_top_id', 'kind', 'top_id'),
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(512))
    top_id: Mapped[str | None] = mapped_column(String(255))
    wanted: Mapped[Any | None] = mapped_column(Json)
    generation: Mapped[int] = mapped_column(Integer, default=1)
    is_deleted: Mapped[bool] = mapped_column(Boolean, default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Replica(Base):
    """How far one pod is with one object."""

    __tablename__ = 'replicas'
    __table_args__ = _table(
        Index('ix_replicas_pod_id_state', 'pod_id', 'state'),
        Index('ix_replicas_bottom_id', 'bottom_id'),
    )

    object_id: Mapped[int] = mapped_column(
        BIG_ID, ForeignKey('replicated_objects.id'), primary_key=True, autoincrement=False
    )
    pod_id: Mapped[str] = _pod_id(primary_key=True)
    bottom_id: Mapped[str | None] = mapped_column(String(255))
    generation: Mapped[int] = mapped_column(Integer, default=0)
    state: Mapped[str] = mapped_column(String(16))
    error: Mapped[str | None] = mapped_column(LONG_TEXT)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ServerGroupCopy(Base):
    """One of the pods in which a resource of one pod stands too, under an id of that pod's choosing.

    The first row of a resource is of its own pod (there `bottom_id` is `top_id`), and says what it is made of
    and in which pod it may be used just now, if it may be only in one. `bottom_id` is null while a twin is made.
    """

    __tablename__ = 'server_group_copies'
    __table_args__ = _table(
        UniqueConstraint(
            'top_id', 'resource_type', 'pod_id', name='uniq_server_group_copies0top_id0resource_type0pod_id'
        ),
        Index('ix_server_group_copies_pod_id_bottom_id', 'pod_id', 'bottom_id'),
    )

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    resource_type: Mapped[str] = mapped_column(String(32))
    top_id: Mapped[str] = mapped_column(String(64))
    pod_id: Mapped[str] = _pod_id()
    project_id: Mapped[str] = mapped_column(String(64))
    bottom_id: Mapped[str | None] = mapped_column(String(64))
    definition: Mapped[Any | None] = mapped_column(Json)
    state: Mapped[str] = mapped_column(String(16), default='made')
    busy_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    used_in: Mapped[str | None] = mapped_column(String(36))
    users: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PodHost(Base):
    """A compute host of a pod, as last seen."""

    __tablename__ = 'pod_hosts'
    __table_args__ = _table()

    pod_id: Mapped[str] = _pod_id(primary_key=True)
    host: Mapped[str] = mapped_column(String(255), primary_key=True)


class PodUsage(Base):
    """Capacity and use of one service of a pod, as last read."""

    __tablename__ = 'pod_usages'
    __table_args__ = _table()

    pod_id: Mapped[str] = _pod_id(primary_key=True)
    service: Mapped[str] = mapped_column(String(32), primary_key=True)
    data: Mapped[Any] = mapped_column(Json)
    collected_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Job(Base):
    """Work that outlives a request.

    `active_key` is type and resource while new or running and null afterwards: one job a resource. `pod_id` is the
    pod it keeps busy; no foreign key, for it may outlive the pod.
    """

    __tablename__ = 'jobs'
    __table_args__ = _table(
        UniqueConstraint('active_key', name='uniq_jobs0active_key'),
        Index('ix_jobs_state_run_after', 'state', 'run_after'),
        Index('ix_jobs_type_state', 'type', 'state'),
        Index('ix_jobs_type_resource_key', 'type', 'resource_key'),
        Index('ix_jobs_created_at', 'created_at'),
        Index('ix_jobs_finished_at', 'finished_at'),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    type: Mapped[str] = mapped_column(String(64))
    resource_key: Mapped[str] = mapped_column(String(255))
    active_key: Mapped[str | None] = mapped_column(String(320))
    pod_id: Mapped[str | None] = mapped_column(String(36))
    payload: Mapped[Any | None] = mapped_column(Json)
    state: Mapped[str] = mapped_column(String(16), default='new')
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    max_attempts: Mapped[int] = mapped_column(Integer)
    run_after: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_owner: Mapped[str | None] = mapped_column(String(255))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    is_rerun_wanted: Mapped[bool] = mapped_column(Boolean, default=False)
    is_cancel_wanted: Mapped[bool] = mapped_column(Boolean, default=False)
    progress: Mapped[Any | None] = mapped_column(Json)
    result: Mapped[Any | None] = mapped_column(Json)
    error: Mapped[str | None] = mapped_column(LONG_TEXT)
    request_id: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class JobEvent(Base):
    """One step in the life of a job."""

    __tablename__ = 'job_history'
    __table_args__ = _table(Index('ix_job_history_job_id', 'job_id'))

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(String(36), ForeignKey('jobs.id'))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(16))
    attempt: Mapped[int] = mapped_column(Integer)
    owner: Mapped[str | None] = mapped_column(String(255))
    error: Mapped[str | None] = mapped_column(LONG_TEXT)
