# SPDX-License-Identifier: Apache-2.0
"""Bindings that keep a project off other pods."""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('pod_bindings', sa.Column('is_exclusive', sa.Boolean, nullable=False, server_default=sa.false()))
