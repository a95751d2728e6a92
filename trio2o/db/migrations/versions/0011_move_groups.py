# SPDX-License-Identifier: Apache-2.0
"""Groups of moves: applications, drains of pods and rebalancing of zones."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None
phase = 'expand'

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT, 'mysql', 'mariadb')
NUMBER = sa.BigInteger().with_variant(sa.Integer, 'sqlite')


def upgrade() -> None:
    op.add_column('moves', sa.Column('group_id', sa.String(36), nullable=True))
    op.create_table(
        'move_groups',
        sa.Column('id', sa.String(36), nullable=False),
        sa.Column('kind', sa.String(16), nullable=False),
        sa.Column('name', sa.String(255), nullable=False),
        sa.Column('project_id', sa.String(64), nullable=False),
        sa.Column('user_id', sa.String(64), nullable=False),
        sa.Column('source_pod_id', sa.String(36), nullable=True),
        sa.Column('zone', sa.String(255), nullable=False),
        sa.Column('targets', TEXT, nullable=False),
        sa.Column('options', TEXT, nullable=False),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('hold', sa.String(16), nullable=False),
        sa.Column('wish', sa.String(16), nullable=False),
        sa.Column('reason', TEXT, nullable=True),
        sa.Column('active_key', sa.String(320), nullable=True),
        sa.Column('next_start_at', TIME, nullable=True),
        sa.Column('confirm_at', TIME, nullable=True),
        sa.Column('percent', sa.Integer(), nullable=False),
        sa.Column('bytes_done', sa.BigInteger(), nullable=False),
        sa.Column('bytes_total', sa.BigInteger(), nullable=False),
        sa.Column('request_id', sa.String(64), nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=False),
        sa.Column('ended_at', TIME, nullable=True),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('active_key', name='uniq_move_groups0active_key'),
        mysql_engine='InnoDB',
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
    )
    op.create_index('ix_move_groups_created_at', 'move_groups', ['created_at'])
    op.create_index('ix_move_groups_ended_at', 'move_groups', ['ended_at'])
    op.create_table(
        'move_group_members',
        sa.Column('id', NUMBER, autoincrement=True, nullable=False),
        sa.Column('group_id', sa.String(36), sa.ForeignKey('move_groups.id'), nullable=False),
        sa.Column('position', sa.Integer(), nullable=False),
        sa.Column('part', sa.Integer(), nullable=False),
        sa.Column('wave', sa.Integer(), nullable=False),
        sa.Column('resource_type', sa.String(32), nullable=False),
        sa.Column('resource_id', sa.String(64), nullable=False),
        sa.Column('project_id', sa.String(64), nullable=False),
        sa.Column('name', sa.String(255), nullable=False),
        sa.Column('target_pod_id', sa.String(36), nullable=True),
        sa.Column('state', sa.String(16), nullable=False),
        sa.Column('tries', sa.Integer(), nullable=False),
        sa.Column('not_before', TIME, nullable=True),
        sa.Column('reason', TEXT, nullable=True),
        sa.Column('move_id', sa.String(36), nullable=True),
        sa.Column('updated_at', TIME, nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint(
            'group_id',
            'resource_type',
            'resource_id',
            name='uniq_move_group_members0group_id0resource_type0resource_id',
        ),
        mysql_engine='InnoDB',
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
    )
    op.create_index(
        'ix_move_group_members_group_state', 'move_group_members', ['group_id', 'state', 'wave', 'position']
    )
    op.create_index('ix_move_group_members_move_id', 'move_group_members', ['move_id'])
