# SPDX-License-Identifier: Apache-2.0
"""Moves of servers as Nova lists migrations: one row for each server of a move.

A row has neither the plan nor the facts of the move, which are long.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy

from trio2o.db.database import Database
from trio2o.db.records import BUILT, CONFIRMED, PLANNED, REVERTED, STUCK, SWITCHED, Move, MoveItem

_MOVES, _ITEMS = Move.__table__, MoveItem.__table__
_M = _MOVES.c
_SOURCE, _TARGET = _ITEMS.alias('source'), _ITEMS.alias('target')
_S, _T = _SOURCE.c, _TARGET.c

#: The status that Nova gives to a cold migration that is as far.
_STATUS = sqlalchemy.case(
    (_M.state.in_((CONFIRMED, REVERTED)), _M.state),
    (_M.hold == STUCK, 'error'),
    (_M.is_forward.is_(False), 'reverting'),
    (sqlalchemy.and_(_M.state == SWITCHED, _M.wish == 'confirm'), 'confirming'),
    (_M.state == SWITCHED, 'finished'),
    (_M.state == BUILT, 'post-migrating'),
    (_M.state == PLANNED, 'pre-migrating'),
    else_='migrating',
)


class ServerMove(NamedTuple):
    """A server of a move.

    :ivar item_id: of the server in the source, in the ledger
    :ivar server_id: the id that tenants see
    :ivar status: the status that Nova gives to a cold migration that is as far
    :ivar project_id: owns the server; ``user_id``: who began the move
    :ivar source_host: the host, and ``source_node`` the hypervisor, as its pod names them; None if it is not known
    """

    item_id: int
    move_id: str
    server_id: str
    status: str
    project_id: str
    user_id: str
    source_pod_id: str
    source_host: str | None
    source_node: str | None
    target_pod_id: str
    target_host: str | None
    target_node: str | None
    created_at: datetime
    updated_at: datetime


_SELECT = (
    sqlalchemy.select(
        _S.id,
        _M.id,
        _S.top_id,
        _STATUS,
        _M.project_id,
        _M.user_id,
        _S.pod_id,
        _S.host,
        _S.node,
        _T.pod_id,
        _T.host,
        _T.node,
        _M.created_at,
        _M.updated_at,
    )
    .join_from(_MOVES, _SOURCE, sqlalchemy.and_(_S.move_id == _M.id, _S.pod_id == _M.source_pod_id))
    .join(
        _TARGET,
        sqlalchemy.and_(
            _T.move_id == _M.id,
            _T.pod_id == _M.target_pod_id,
            _T.resource_type == _S.resource_type,
            _T.top_id == _S.top_id,
        ),
    )
    .where(_S.resource_type == 'server')
    .order_by(_M.created_at.desc(), _S.id.desc())
)

#: Id of the pod of a host, or None for any pod, and the host's name in it.
Place = tuple[str | None, str]


def list_(
    db: Database,
    *,
    limit: int | None = None,
    project_id: str | None = None,
    user_id: str | None = None,
    server_id: str | None = None,
    status: str | None = None,
    host: Place | None = None,
    source_host: Place | None = None,
    node: str | None = None,
    changed_since: datetime | None = None,
    changed_before: datetime | None = None,
) -> list[ServerMove]:
    """Return servers of moves, those of the newest moves first.

    :param host: the one that the server was on or is on
    :param node: the hypervisor that the server was on or is on
    :param changed_since: the move changed then or later; ``changed_before``: then or earlier
    """
    wanted: list[Any] = [
        column == value
        for column, value in (
            (_M.project_id, project_id),
            (_M.user_id, user_id),
            (_S.top_id, server_id),
            (_STATUS, status),
        )
        if value is not None
    ]
    if host is not None:
        wanted.append(sqlalchemy.or_(_is_at(_S, host), _is_at(_T, host)))
    if source_host is not None:
        wanted.append(_is_at(_S, source_host))
    if node is not None:
        wanted.append(sqlalchemy.or_(_S.node == node, _T.node == node))
    if changed_since is not None:
        wanted.append(_M.updated_at >= changed_since)
    if changed_before is not None:
        wanted.append(_M.updated_at <= changed_before)
    with db.reader() as connection:
        return [ServerMove._make(row) for row in connection.execute(_SELECT.where(*wanted).limit(limit))]


def _is_at(columns: Any, place: Place) -> Any:
    pod_id, name = place
    is_there = columns.host == name
    return is_there if pod_id is None else sqlalchemy.and_(is_there, columns.pod_id == pod_id)
