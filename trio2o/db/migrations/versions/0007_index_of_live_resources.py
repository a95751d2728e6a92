# SPDX-License-Identifier: Apache-2.0
"""An index of the live resources of a project."""

from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None
phase = 'expand'


def upgrade() -> None:
    op.create_index(
        'ix_routings_type_project_state_created',
        'routings',
        ['resource_type', 'project_id', 'state', 'created_at', 'pod_id'],
    )
