# SPDX-License-Identifier: Apache-2.0
"""The time at which the objects of a pod were recorded."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None
phase = 'expand'

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')


def upgrade() -> None:
    op.add_column('pods', sa.Column('adopted_at', TIME, nullable=True))
    # Until now, a pod whose resources were compared counted as one whose objects were recorded.
    op.execute('UPDATE pods SET adopted_at = reconciled_at WHERE is_reconciled')
