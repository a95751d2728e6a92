# SPDX-License-Identifier: Apache-2.0
"""Keypairs: the same in every pod, and of users rather than projects."""

from __future__ import annotations

from trio2o.gateway.handlers.forward import at
from trio2o.gateway.handlers.replicate import KEYPAIR, ReplicatedRead, ReplicatedWrite
from trio2o.web.call import Answer, Call
from trio2o.web.operations import Operation

#: From here on an admin may name another user.
_NAMES_USER = (2, 10)


def user_of(call: Call) -> str:
    """Whose keypair a call is about."""
    given = None
    if call.version is not None and call.version >= _NAMES_USER:
        in_body = at('keypair', 'user_id')(call.json)
        given = in_body or next((value for name, value in call.query if name == 'user_id'), None)
    return str(given or call.context.user_id)


def path_key(call: Call, answer: Answer | None) -> str | None:
    return f'{user_of(call)}/{call.id}'


def body_key(call: Call, answer: Answer | None) -> str | None:
    name = at('keypair', 'name')(call.json if answer is None else answer.json)
    return f'{user_of(call)}/{name.strip()}' if isinstance(name, str) else None


_READ = ReplicatedRead(KEYPAIR)
_MAKE = ReplicatedWrite(KEYPAIR, body_key, makes=True)
_DELETE = ReplicatedWrite(KEYPAIR, path_key)

OPERATIONS = [
    Operation('keypairs.list', 'GET', '/os-keypairs', _READ),
    Operation('keypairs.create', 'POST', '/os-keypairs', _MAKE),
    Operation('keypairs.show', 'GET', '/os-keypairs/{id}', _READ),
    Operation('keypairs.delete', 'DELETE', '/os-keypairs/{id}', _DELETE),
]
