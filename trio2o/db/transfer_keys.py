# SPDX-License-Identifier: Apache-2.0
"""The keys of volume transfers that were created through the gateway, as salted hashes.

With them the gateway knows whether a caller has the key of a transfer, before it reads what the transfer is of. A job
deletes old keys: the key of a transfer that was accepted or deleted is of no use to anybody.
"""

import hashlib
import hmac
import secrets
from datetime import datetime

import sqlalchemy

from trio2o.db.database import Database, retry_on_deadlock, utcnow
from trio2o.db.query import Columns, changed
from trio2o.db.records import TransferKey

_KEYS = Columns(TransferKey)
_TABLE = _KEYS.table
_K = _TABLE.c


def _digest(salt: str, auth_key: str) -> str:
    return hmac.new(salt.encode(), auth_key.encode('utf-8', 'surrogatepass'), hashlib.sha256).hexdigest()


@retry_on_deadlock
def record(db: Database, transfer_id: str, auth_key: str) -> None:
    """Record the key of a new transfer."""
    salt = secrets.token_hex(16)
    row = {'transfer_id': transfer_id, 'salt': salt, 'digest': _digest(salt, auth_key), 'created_at': utcnow()}
    with db.writer() as connection:
        connection.execute(sqlalchemy.delete(_TABLE).where(_K.transfer_id == transfer_id))
        connection.execute(sqlalchemy.insert(_TABLE).values(**row))


def is_right(db: Database, transfer_id: str, auth_key: str) -> bool | None:
    """Return whether a key is that of a transfer; None if the key of the transfer is not recorded."""
    with db.reader() as connection:
        known = _KEYS.one(connection, _K.transfer_id == transfer_id)
    return None if known is None else hmac.compare_digest(known.digest, _digest(known.salt, auth_key))


@retry_on_deadlock
def purge(db: Database, before: datetime) -> int:
    """Delete the keys recorded before a time. :returns: how many were deleted"""
    with db.writer() as connection:
        return changed(connection, sqlalchemy.delete(_TABLE).where(_K.created_at < before))
