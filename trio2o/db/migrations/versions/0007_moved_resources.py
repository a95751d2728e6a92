# SPDX-License-Identifier: Apache-2.0
"""Resources that are in a pod under another id than tenants know."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, 'sqlite')
TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')


def upgrade() -> None:
    op.create_table(
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
        mysql_engine='InnoDB',
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
    )
