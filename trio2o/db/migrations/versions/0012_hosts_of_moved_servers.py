# SPDX-License-Identifier: Apache-2.0
"""The hosts that a moved server was and is on, and an index by which its moves are found."""

import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None
phase = 'expand'


def upgrade() -> None:
    for name in ('host', 'node'):
        op.add_column('move_items', sa.Column(name, sa.String(255), nullable=True))
    op.create_index('ix_move_items_top_id', 'move_items', ['top_id'])
