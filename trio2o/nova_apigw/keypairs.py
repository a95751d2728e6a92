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
    """Return the user whose key pair a request is about: from where Nova reads it for the method."""
    given = None
    if call.version is not None and call.version >= _OTHER_USER:
        if call.method == 'POST':
            given = json_body.at(call.json, 'keypair', 'user_id')
        else:
            given = next((value for name, value in call.query if name == 'user_id'), None)
    return str(given or call.context.user_id)


def is_own(call: Call) -> bool:
    """Return whether a request is about a key pair of the caller, or the caller is an admin."""
    return call.context.may_see_all or user_of(call) == call.context.user_id


class CreateKeypair(ReplicatedCreate):
    """Create a key pair, whose key is made of its user and its name."""

    def may_prepare(self, call: Call) -> bool:
        return is_own(call)

    def sent_attributes(self, call: Call) -> dict[str, str]:
        """Return the public key, unless Nova has to generate one."""
        public_key = json_body.at(call.json, 'keypair', 'public_key')
        return {'public_key': public_key} if isinstance(public_key, str) else {}

    def key(self, call: Call) -> str | None:
        return self._key(call, call.json)

    def key_in_answer(self, call: Call, answer: Answer) -> str | None:
        return self._key(call, answer.json)

    def _key(self, call: Call, document: Any) -> str | None:
        name = json_body.at(document, 'keypair', 'name')
        return keypair_key(user_of(call), name.strip()) if isinstance(name, str) else None


class DeleteKeypair(ReplicatedWrite):
    """Delete the key pair of a user."""

    def may_prepare(self, call: Call) -> bool:
        return is_own(call)

    def key(self, call: Call) -> str:
        return keypair_key(user_of(call), call.id)


_READ = ReplicatedRead(KEYPAIR)

OPERATIONS = [
    Operation('keypairs.list', 'GET', '/os-keypairs', _READ),
    Operation('keypairs.create', 'POST', '/os-keypairs', CreateKeypair(KEYPAIR)),
    Operation('keypairs.show', 'GET', '/os-keypairs/{id}', _READ),
    Operation('keypairs.delete', 'DELETE', '/os-keypairs/{id}', DeleteKeypair(KEYPAIR)),
]
