# SPDX-License-Identifier: Apache-2.0
"""The version of its table in which a pod or a replica was changed last."""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None
phase = 'expand'


def upgrade() -> None:
    for table in ('pods', 'replicas'):
        op.add_column(table, sa.Column('changed_in', sa.BigInteger(), nullable=False, server_default=sa.text('0')))
    op.create_index('ix_replicas_changed_in', 'replicas', ['changed_in'])
