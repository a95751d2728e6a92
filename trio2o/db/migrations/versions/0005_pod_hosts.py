# SPDX-License-Identifier: Apache-2.0
"""The compute hosts of pods, for when they are away."""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'pod_hosts',
        sa.Column('pod_id', sa.String(36), nullable=False),
        sa.Column('host', sa.String(255), nullable=False),
        sa.ForeignKeyConstraint(['pod_id'], ['pods.pod_id']),
        sa.PrimaryKeyConstraint('pod_id', 'host'),
        mysql_engine='InnoDB',
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
    )
