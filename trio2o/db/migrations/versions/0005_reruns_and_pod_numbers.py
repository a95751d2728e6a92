# SPDX-License-Identifier: Apache-2.0
"""Payloads of further runs of jobs, an index of due jobs by type and pod, and the numbers of deleted pods."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None
phase = 'expand'

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql', 'mariadb')


def upgrade() -> None:
    op.add_column('jobs', sa.Column('rerun_payload', LONG_TEXT, nullable=True))
    op.create_index('ix_jobs_state_type_pod_id_run_after', 'jobs', ['state', 'type', 'pod_id', 'run_after'])
    op.create_table(
        'retired_pod_numbers',
        sa.Column('number', sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column('retired_at', TIME, nullable=False),
        sa.PrimaryKeyConstraint('number'),
        mysql_engine='InnoDB',
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
    )
