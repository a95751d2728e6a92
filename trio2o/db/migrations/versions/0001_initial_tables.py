# SPDX-License-Identifier: Apache-2.0
"""All tables of release 1.0.

The types are written out rather than imported from the table declarations, which change with later
revisions while this one must not.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql', 'mariadb')


def _create(name: str, *columns: Any) -> None:
    op.create_table(name, *columns, mysql_engine='InnoDB', mysql_charset='utf8mb4', mysql_collate='utf8mb4_bin')


def upgrade() -> None:
    _create(
        'jobs',
        sa.Column('id', sa.String(36), nullable=False),
        sa.Column('type', sa.String(64), nullable=False),
        sa.Column('resource_key', sa.String(255), nullable=False),
        sa.Column('active_key', sa.String(320), nullable=True),
        sa.Column('pod_id', sa.String(36), nullable=True),
        sa.Column('payload', LONG_TEXT, nullable=True),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('max_attempts', sa.Integer(), nullable=False),
        sa.Column('run_after', TIME, nullable=False),
        sa.Column('lease_owner', sa.String(255), nullable=True),
        sa.Column('lease_until', TIME, nullable=True),
        sa.Column('is_rerun_wanted', sa.Boolean(), nullable=False),
        sa.Column('is_cancel_wanted', sa.Boolean(), nullable=False),
        sa.Column('progress', LONG_TEXT, nullable=True),
        sa.Column('result', LONG_TEXT, nullable=True),
        sa.Column('error', LONG_TEXT, nullable=True),
        sa.Column('request_id', sa.String(64), nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.Column('started_at', TIME, nullable=True),
        sa.Column('finished_at', TIME, nullable=True),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('active_key', name='uniq_jobs0active_key'),
    )
    op.create_index('ix_jobs_created_at', 'jobs', ['created_at'])
    op.create_index('ix_jobs_finished_at', 'jobs', ['finished_at'])
    op.create_index('ix_jobs_state_run_after', 'jobs', ['state', 'run_after'])
    op.create_index('ix_jobs_type_resource_key', 'jobs', ['type', 'resource_key'])
    op.create_index('ix_jobs_type_state', 'jobs', ['type', 'state'])

    _create(
        'pod_state_changes',
        sa.Column('id', BIG_ID, nullable=False, autoincrement=True),
        sa.Column('pod_id', sa.String(36), nullable=False),
        sa.Column('from_state', sa.String(16), nullable=False),
        sa.Column('to_state', sa.String(16), nullable=False),
        sa.Column('reason', sa.String(1024), nullable=False),
        sa.Column('user_id', sa.String(64), nullable=False),
        sa.Column('at', TIME, nullable=False),
        sa.PrimaryKeyConstraint('id'),
    )
    op.create_index('ix_pod_state_changes_pod_id', 'pod_state_changes', ['pod_id'])

    _create(
        'pods',
        sa.Column('pod_id', sa.String(36), nullable=False),
        sa.Column('pod_name', sa.String(255), nullable=False),
        sa.Column('az_name', sa.String(255), nullable=False),
        sa.Column('pod_az_name', sa.String(255), nullable=False),
        sa.Column('dc_name', sa.String(255), nullable=False),
        sa.Column('number', sa.SmallInteger(), nullable=False),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('state_reason', sa.String(1024), nullable=False),
        sa.Column('resource_affinity_tag', LONG_TEXT, nullable=True),
        sa.Column('headroom', LONG_TEXT, nullable=True),
        sa.Column('endpoints', LONG_TEXT, nullable=True),
        sa.Column('is_reconciled', sa.Boolean(), nullable=False),
        sa.Column('reconciled_at', TIME, nullable=True),
        sa.Column('followed_at', TIME, nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.PrimaryKeyConstraint('pod_id'),
        sa.UniqueConstraint('number', name='uniq_pods0number'),
        sa.UniqueConstraint('pod_name', name='uniq_pods0pod_name'),
    )

    _create(
        'quota_claims',
        sa.Column('id', sa.String(36), nullable=False),
        sa.Column('project_id', sa.String(64), nullable=False),
        sa.Column('user_id', sa.String(64), nullable=False),
        sa.Column('resources', LONG_TEXT, nullable=False),
        sa.Column('request_id', sa.String(64), nullable=False),
        sa.Column('pod_id', sa.String(36), nullable=True),
        sa.Column('resource_type', sa.String(32), nullable=False),
        sa.Column('resource_id', sa.String(64), nullable=False),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('expires_at', TIME, nullable=True),
        sa.PrimaryKeyConstraint('id'),
    )
    op.create_index('ix_quota_claims_project_id', 'quota_claims', ['project_id'])
    op.create_index('ix_quota_claims_resource_id', 'quota_claims', ['resource_id'])
    op.create_index('ix_quota_claims_state_expires_at', 'quota_claims', ['state', 'expires_at'])

    _create(
        'quota_classes',
        sa.Column('id', BIG_ID, nullable=False, autoincrement=True),
        sa.Column('class_name', sa.String(255), nullable=False),
        sa.Column('resource', sa.String(255), nullable=False),
        sa.Column('hard_limit', sa.BigInteger(), nullable=False),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('class_name', 'resource', name='uniq_quota_classes0class_name0resource'),
    )

    _create(
        'quota_usages',
        sa.Column('id', BIG_ID, nullable=False, autoincrement=True),
        sa.Column('project_id', sa.String(64), nullable=False),
        sa.Column('user_id', sa.String(64), nullable=False),
        sa.Column('resource', sa.String(255), nullable=False),
        sa.Column('in_use', sa.BigInteger(), nullable=False),
        sa.Column('claimed', sa.BigInteger(), nullable=False),
        sa.Column('recounted_at', TIME, nullable=True),
        sa.Column('updated_at', TIME, nullable=True),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint(
            'project_id',
            'user_id',
            'resource',
            name='uniq_quota_usages0project_id0user_id0resource',
        ),
    )

    _create(
        'quotas',
        sa.Column('id', BIG_ID, nullable=False, autoincrement=True),
        sa.Column('project_id', sa.String(64), nullable=False),
        sa.Column('user_id', sa.String(64), nullable=False),
        sa.Column('resource', sa.String(255), nullable=False),
        sa.Column('hard_limit', sa.BigInteger(), nullable=False),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('project_id', 'user_id', 'resource', name='uniq_quotas0project_id0user_id0resource'),
    )

    _create(
        'replicated_objects',
        sa.Column('id', BIG_ID, nullable=False, autoincrement=True),
        sa.Column('kind', sa.String(64), nullable=False),
        sa.Column('key', sa.String(512), nullable=False),
        sa.Column('top_id', sa.String(255), nullable=True),
        sa.Column('wanted', LONG_TEXT, nullable=True),
        sa.Column('generation', sa.Integer(), nullable=False),
        sa.Column('is_deleted', sa.Boolean(), nullable=False),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('kind', 'key', name='uniq_replicated_objects0kind0key'),
    )
    op.create_index('ix_replicated_objects_kind_top_id', 'replicated_objects', ['kind', 'top_id'])

    _create(
        'job_history',
        sa.Column('id', BIG_ID, nullable=False, autoincrement=True),
        sa.Column('job_id', sa.String(36), nullable=False),
        sa.Column('at', TIME, nullable=False),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('attempt', sa.Integer(), nullable=False),
        sa.Column('owner', sa.String(255), nullable=True),
        sa.Column('error', LONG_TEXT, nullable=True),
        sa.ForeignKeyConstraint(['job_id'], ['jobs.id']),
        sa.PrimaryKeyConstraint('id'),
    )
    op.create_index('ix_job_history_job_id', 'job_history', ['job_id'])

    _create(
        'pod_bindings',
        sa.Column('id', sa.String(36), nullable=False),
        sa.Column('tenant_id', sa.String(64), nullable=False),
        sa.Column('pod_id', sa.String(36), nullable=False),
        sa.Column('az_name', sa.String(255), nullable=False),
        sa.Column('affinity_group', sa.String(255), nullable=False),
        sa.Column('is_pinned', sa.Boolean(), nullable=False),
        sa.Column('is_exclusive', sa.Boolean(), nullable=False),
        sa.Column('current_key', sa.String(64), nullable=True),
        sa.Column('started_at', TIME, nullable=False),
        sa.Column('ended_at', TIME, nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.ForeignKeyConstraint(['pod_id'], ['pods.pod_id']),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('current_key', name='uniq_pod_bindings0current_key'),
    )
    op.create_index('ix_pod_bindings_pod_id', 'pod_bindings', ['pod_id'])
    op.create_index('ix_pod_bindings_tenant_id_ended_at', 'pod_bindings', ['tenant_id', 'ended_at'])

    _create(
        'pod_hosts',
        sa.Column('pod_id', sa.String(36), nullable=False),
        sa.Column('host', sa.String(255), nullable=False),
        sa.ForeignKeyConstraint(['pod_id'], ['pods.pod_id']),
        sa.PrimaryKeyConstraint('pod_id', 'host'),
    )

    _create(
        'pod_usages',
        sa.Column('pod_id', sa.String(36), nullable=False),
        sa.Column('service', sa.String(32), nullable=False),
        sa.Column('data', LONG_TEXT, nullable=False),
        sa.Column('collected_at', TIME, nullable=False),
        sa.ForeignKeyConstraint(['pod_id'], ['pods.pod_id']),
        sa.PrimaryKeyConstraint('pod_id', 'service'),
    )

    _create(
        'replicas',
        sa.Column('object_id', BIG_ID, nullable=False, autoincrement=False),
        sa.Column('pod_id', sa.String(36), nullable=False),
        sa.Column('bottom_id', sa.String(255), nullable=True),
        sa.Column('generation', sa.Integer(), nullable=False),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('error', LONG_TEXT, nullable=True),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('updated_at', TIME, nullable=False),
        sa.ForeignKeyConstraint(['pod_id'], ['pods.pod_id']),
        sa.ForeignKeyConstraint(['object_id'], ['replicated_objects.id']),
        sa.PrimaryKeyConstraint('object_id', 'pod_id'),
    )
    op.create_index('ix_replicas_bottom_id', 'replicas', ['bottom_id'])
    op.create_index('ix_replicas_pod_id_state', 'replicas', ['pod_id', 'state'])

    _create(
        'routings',
        sa.Column('id', BIG_ID, nullable=False, autoincrement=True),
        sa.Column('top_id', sa.String(64), nullable=False),
        sa.Column('bottom_id', sa.String(64), nullable=False),
        sa.Column('pod_id', sa.String(36), nullable=False),
        sa.Column('project_id', sa.String(64), nullable=False),
        sa.Column('user_id', sa.String(64), nullable=False),
        sa.Column('resource_type', sa.String(32), nullable=False),
        sa.Column('created_at', TIME, nullable=True),
        sa.Column('deltas', LONG_TEXT, nullable=True),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('recorded_at', TIME, nullable=False),
        sa.Column('deleted_at', TIME, nullable=True),
        sa.ForeignKeyConstraint(['pod_id'], ['pods.pod_id']),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('top_id', 'resource_type', name='uniq_routings0top_id0resource_type'),
    )
    op.create_index('ix_routings_bottom_id', 'routings', ['bottom_id', 'resource_type'])
    op.create_index('ix_routings_pod_id', 'routings', ['pod_id'])
    op.create_index('ix_routings_state_deleted_at', 'routings', ['state', 'deleted_at'])
    op.create_index(
        'ix_routings_type_pod_created',
        'routings',
        ['resource_type', 'pod_id', 'created_at', 'state'],
    )
    op.create_index(
        'ix_routings_type_project_pod_created',
        'routings',
        ['resource_type', 'project_id', 'pod_id', 'created_at', 'state'],
    )

    _create(
        'moved_resources',
        sa.Column('id', BIG_ID, nullable=False, autoincrement=True),
        sa.Column('resource_type', sa.String(32), nullable=False),
        sa.Column('top_id', sa.String(64), nullable=False),
        sa.Column('bottom_id', sa.String(64), nullable=False),
        sa.Column('pod_id', sa.String(36), nullable=False),
        sa.Column('created_at', TIME, nullable=False),
        sa.ForeignKeyConstraint(['pod_id'], ['pods.pod_id']),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('top_id', 'resource_type', name='uniq_moved_resources0top_id0resource_type'),
    )

    _create(
        'server_group_copies',
        sa.Column('id', BIG_ID, nullable=False, autoincrement=True),
        sa.Column('top_id', sa.String(64), nullable=False),
        sa.Column('pod_id', sa.String(36), nullable=False),
        sa.Column('project_id', sa.String(64), nullable=False),
        sa.Column('bottom_id', sa.String(64), nullable=True),
        sa.Column('definition', LONG_TEXT, nullable=True),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('busy_until', TIME, nullable=True),
        sa.Column('used_in', sa.String(36), nullable=True),
        sa.Column('users', sa.Integer(), nullable=False),
        sa.Column('created_at', TIME, nullable=False),
        sa.ForeignKeyConstraint(['pod_id'], ['pods.pod_id']),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('top_id', 'pod_id', name='uniq_server_group_copies0top_id0pod_id'),
    )
    op.create_index('ix_server_group_copies_pod_id_bottom_id', 'server_group_copies', ['pod_id', 'bottom_id'])
