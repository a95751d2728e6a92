# SPDX-License-Identifier: Apache-2.0
"""Versions of the tables that processes keep in memory."""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'table_versions',
        sa.Column('name', sa.String(64), nullable=False),
        sa.Column('version', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('name'),
        mysql_engine='InnoDB',
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
    )
    op.add_column(
        'replicated_objects', sa.Column('changed_in', sa.BigInteger(), nullable=False, server_default=sa.text('0'))
    )
    op.create_index('ix_replicated_objects_changed_in', 'replicated_objects', ['changed_in'])
