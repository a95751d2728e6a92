# SPDX-License-Identifier: Apache-2.0
"""The errors of the database layer.

    DatabaseLayerError
     +- Duplicate     another row has the value of a unique field; `field` names it
     +- RecordNotFound      a required row does not exist; `what` and `key` name it
     +- Full          no number is left for another row
     +- Unusable      the schema cannot be read or changed: no server, no such revision

Layers above decide what a client gets.
"""


class DatabaseLayerError(Exception):
    """Base of what trio2o.db raises itself."""


class Duplicate(DatabaseLayerError):
    """A row with the same value of `field` exists."""

    def __init__(self, field: str, value: object = None) -> None:
        super().__init__(f'{field} {value!r} exists already')
        self.field = field
        self.value = value


class RecordNotFound(DatabaseLayerError):
    """There is no `what` with this key."""

    def __init__(self, what: str, key: object) -> None:
        super().__init__(f'no {what} {key!r}')
        self.what = what
        self.key = key


class Full(DatabaseLayerError):
    """As many rows as there can be."""


class Unusable(DatabaseLayerError):
    """The database cannot be brought up to date, or asked where it is."""
