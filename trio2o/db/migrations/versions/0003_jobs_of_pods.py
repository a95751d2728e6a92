# SPDX-License-Identifier: Apache-2.0
"""Which pod a job is about and what it came to, and since when a pod's changes have been followed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql', 'mariadb')


def upgrade() -> None:
    op.add_column('jobs', sa.Column('pod_id', sa.String(36), nullable=True))
    op.add_column('jobs', sa.Column('result', LONG_TEXT, nullable=True))
    op.create_index('ix_jobs_type_resource_key', 'jobs', ['type', 'resource_key'])
    op.add_column('pods', sa.Column('followed_at', TIME, nullable=True))
