# SPDX-License-Identifier: Apache-2.0
"""Where resources of one pod stand in others."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql', 'mariadb')


def upgrade() -> None:
    op.create_table(
        'twins',
        sa.Column('id', BIG_ID, nullable=False, autoincrement=True),
        sa.Column('resource_type', sa.String(32), nullable=False),
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
        sa.UniqueConstraint('top_id', 'resource_type', 'pod_id', name='uniq_twins0top_id0resource_type0pod_id'),
        mysql_engine='InnoDB',
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
    )
    op.create_index('ix_twins_pod_id_bottom_id', 'twins', ['pod_id', 'bottom_id'])
