# SPDX-License-Identifier: Apache-2.0
"""The name of a pod's zone in its Block Storage service."""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None
phase = 'expand'


def upgrade() -> None:
    op.add_column('pods', sa.Column('pod_volume_az_name', sa.String(255), nullable=True))
