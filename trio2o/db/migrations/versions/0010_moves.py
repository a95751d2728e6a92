# SPDX-License-Identifier: Apache-2.0
"""Moves of resources between pods, their ledgers, and the fields of moved resources that tenants see."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None
phase = 'expand'

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT, 'mysql', 'mariadb')
NUMBER = sa.BigInteger().with_variant(sa.Integer, 'sqlite')


def upgrade() -> None:
    op.add_column('moved_resources', sa.Column('shown', TEXT, nullable=True))
    op.create_table(
        'moves',
        sa.Column('id', sa.String(36), nullable=False),
        sa.Column('project_id', sa.String(64), nullable=False),
        sa.Column('user_id', sa.String(64), nullable=False),
        sa.Column('resource_type', sa.String(32), nullable=False),
        sa.Column('resource_id', sa.String(64), nullable=False),
        sa.Column('name', sa.String(255), nullable=True),
        sa.Column('source_pod_id', sa.String(36), nullable=False),
        sa.Column('target_pod_id', sa.String(36), nullable=False),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('is_forward', sa.Boolean(), nullable=False),
        sa.Column('hold', sa.String(16), nullable=False),
        sa.Column('wish', sa.String(16), nullable=False),
        sa.Column('step', sa.String(64), nullable=True),
        sa.Column('steps_done', sa.Integer(), nullable=False),
        sa.Column('steps_total', sa.Integer(), nullable=False),
        sa.Column('bytes_done', sa.BigInteger(), nullable=False),
        sa.Column('bytes_total', sa.BigInteger(), nullable=False),
        sa.Column('plan', TEXT, nullable=False),
        sa.Column('facts', TEXT, nullable=False),
        sa.Column('error', TEXT, nullable=True),
        sa.Column('confirm_seconds', sa.Integer(), nullable=False),
        sa.Column('confirm_at', TIME, nullable=True),
        sa.Column('request_id', sa.String(64), nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=False),
        sa.Column('ended_at', TIME, nullable=True),
        sa.PrimaryKeyConstraint('id'),
        mysql_engine='InnoDB',
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
    )
    op.create_index('ix_moves_project_id_created_at', 'moves', ['project_id', 'created_at'])
    op.create_index('ix_moves_ended_at', 'moves', ['ended_at'])
    op.create_index('ix_moves_resource_id', 'moves', ['resource_id'])
    op.create_table(
        'move_items',
        sa.Column('id', NUMBER, autoincrement=True, nullable=False),
        sa.Column('move_id', sa.String(36), sa.ForeignKey('moves.id'), nullable=False),
        sa.Column('key', sa.String(255), nullable=False),
        sa.Column('active_key', sa.String(320), nullable=True),
        sa.Column('pod_id', sa.String(36), nullable=False),
        sa.Column('resource_type', sa.String(32), nullable=False),
        sa.Column('name', sa.String(255), nullable=False),
        sa.Column('top_id', sa.String(64), nullable=False),
        sa.Column('bottom_id', sa.String(64), nullable=False),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('delete_on', sa.String(32), nullable=False),
        sa.Column('sent_at', TIME, nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('move_id', 'key', name='uniq_move_items0move_id0key'),
        sa.UniqueConstraint('active_key', name='uniq_move_items0active_key'),
        mysql_engine='InnoDB',
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
    )
