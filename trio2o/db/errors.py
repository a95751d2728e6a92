# SPDX-License-Identifier: Apache-2.0
"""The errors of the database layer.

    DatabaseLayerError
     +- Duplicate       another row has the value of a unique field; `field` names it
     +- RecordNotFound  a required row does not exist; `what` and `key` name it
     +- UnfitText       a text cannot be stored; a client is answered with 400
     +- Full            every number that a new row could get is in use
     +- Unusable        the schema cannot be read or changed: no server, no such revision
    oslo_db.exception.DBConnectionError
     +- DatabaseBusy    no connection was free, or a row was locked by another transaction, for too long

Layers above decide how to answer a client.
"""

from oslo_db import exception as db_exc

from trio2o import exception


class DatabaseLayerError(Exception):
    """Base class of the exceptions that trio2o.db raises itself."""


class Duplicate(DatabaseLayerError):
    """A row with the same value of `field` exists."""

    def __init__(self, field: str, value: object = None) -> None:
        super().__init__(f'{field} {value!r} exists already')
        self.field = field
        self.value = value


class RecordNotFound(DatabaseLayerError):
    """A required row does not exist.

    :param what: kind of record, for the message
    """

    def __init__(self, what: str, key: object) -> None:
        super().__init__(f'no {what} {key!r}')
        self.what = what
        self.key = key


class UnfitText(DatabaseLayerError, exception.BadRequest, ValueError):
    """A text cannot be in the database: it is too long, or has a NUL (on PostgreSQL) or half of a surrogate pair."""


class Full(DatabaseLayerError):
    """Every number that a new row could get is in use."""


class Unusable(DatabaseLayerError):
    """The revision of the schema cannot be read or changed."""


class DatabaseBusy(db_exc.DBConnectionError):
    """No connection was free within ``[database] pool_timeout``, or a row was locked longer than ``lock_timeout``.

    To repeat the transaction at once would not help.
    """


#: Exceptions of a transaction that a request can do without, as the pod has already carried out the call.
NOT_RECORDED = (DatabaseLayerError, db_exc.DBError)

#: Exceptions for an unreachable database, or one without tables.
UNREACHABLE = (DatabaseLayerError, db_exc.DBError, db_exc.CantStartEngineError, OSError)
