# SPDX-License-Identifier: Apache-2.0
"""Whose a resource is and what a claim is about, so that its use of the quota can be followed."""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('routings', sa.Column('user_id', sa.String(64), nullable=False, server_default=''))
    op.add_column('quota_claims', sa.Column('resource_id', sa.String(64), nullable=False, server_default=''))
    op.create_index('ix_quota_claims_resource_id', 'quota_claims', ['resource_id'])
