# SPDX-License-Identifier: Apache-2.0
"""An index of the live resources of all projects by the time of their creation."""

from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None
phase = 'expand'


def upgrade() -> None:
    op.create_index(
        'ix_routings_type_state_created',
        'routings',
        ['resource_type', 'state', 'created_at', 'pod_id'],
    )
