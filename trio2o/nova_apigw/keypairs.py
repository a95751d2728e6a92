# SPDX-License-Identifier: Apache-2.0
"""Key pairs: the same in every pod. They belong to users and not to projects."""

from __future__ import annotations

from typing import Any

from trio2o.gateway.handlers.replicate import ReplicatedCreate, ReplicatedRead, ReplicatedWrite
from trio2o.replication.kinds import KEYPAIR, keypair_key
from trio2o.web import json_body
from trio2o.web.call import Answer, Call
from trio2o.web.operations import Operation

#: Since this version an admin may name another user.
_OTHER_USER = (2, 10)


def user_of(call: Call) -> str:
    """Return the user whose key pair a request is about."""
    given = None
    if call.version is not None and call.version >= _OTHER_USER:
        in_body = json_body.at(call.json, 'keypair', 'user_id')
        given = in_body or next((value for name, value in call.query if name == 'user_id'), None)
    return str(given or call.context.user_id)


class CreateKeypair(ReplicatedCreate):
    """Create a key pair, whose key is made of its user and its name."""

    def key(self, call: Call) -> str | None:
        return self._key(call, call.json)

    def key_in_answer(self, call: Call, answer: Answer) -> str | None:
        return self._key(call, answer.json)

    def _key(self, call: Call, document: Any) -> str | None:
        name = json_body.at(document, 'keypair', 'name')
        return keypair_key(user_of(call), name.strip()) if isinstance(name, str) else None


class DeleteKeypair(ReplicatedWrite):
    """Delete the key pair of a user."""

    def key(self, call: Call) -> str:
        return keypair_key(user_of(call), call.id)


_READ = ReplicatedRead(KEYPAIR)

OPERATIONS = [
    Operation('keypairs.list', 'GET', '/os-keypairs', _READ),
    Operation('keypairs.create', 'POST', '/os-keypairs', CreateKeypair(KEYPAIR)),
    Operation('keypairs.show', 'GET', '/os-keypairs/{id}', _READ),
    Operation('keypairs.delete', 'DELETE', '/os-keypairs/{id}', DeleteKeypair(KEYPAIR)),
]
