# SPDX-License-Identifier: Apache-2.0
"""Nova's key pairs, which belong to users and not to projects."""

import hashlib
from typing import TYPE_CHECKING, Any

from trio2o.lab.emulated import paging, wire
from trio2o.lab.emulated.clock import micro
from trio2o.lab.emulated.nova import quotas
from trio2o.lab.emulated.wire import Refusal, Route

if TYPE_CHECKING:
    from trio2o.lab.emulated.nova import Nova


def _user(nova: 'Nova', request: wire.Request, rule: str, given: str | None = None) -> str:
    """Return the owner: the caller, or from 2.10 another user whom an admin names."""
    wanted = given or (request.first('user_id') if request.minor >= 10 else None)
    if wanted and wanted != request.user.user_id:
        nova.admin_only(request, f'os_compute_api:os-keypairs:{rule}')
    return wanted or request.user.user_id


def _find(nova: 'Nova', request: wire.Request, rule: str) -> dict[str, Any]:
    user, name = _user(nova, request, rule), request.args['name']
    found = nova.keypairs.get((user, name))
    if found is None:
        raise Refusal(404, f'Keypair {name} not found for user {user}')
    return found


def _brief(request: wire.Request, pair: dict[str, Any]) -> dict[str, Any]:
    names = ['name', 'public_key', 'fingerprint'] + (['type'] if request.minor >= 2 else [])
    return {name: pair[name] for name in names}


def list_keypairs(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-keypairs; from 2.35 sorted by name and in pages."""
    user = _user(nova, request, 'index')
    pairs = [pair for (owner, _), pair in nova.keypairs.items() if owner == user]
    body: dict[str, Any] = {}
    if request.minor >= 35:
        limit = paging.number(request, 'limit', nova.settings.max_limit, nova.settings.max_limit)
        marker = request.last('marker')
        if marker is not None and (user, marker) not in nova.keypairs:
            raise Refusal(400, f'marker [{marker}] not found')
        pairs = paging.after(pairs, nova.keypairs.get((user, marker)) if marker else None, ['name'], ['asc'])[:limit]
        if limit and len(pairs) == limit:
            body['keypairs_links'] = paging.next_link(request, 'os-keypairs', pairs[-1]['name'])
    body['keypairs'] = [{'keypair': _brief(request, pair)} for pair in pairs]
    return wire.reply(body)


def show_keypair(nova: 'Nova', request: wire.Request) -> wire.Response:
    """GET /os-keypairs/{name}."""
    pair = _find(nova, request, 'show')
    return wire.reply(
        {
            'keypair': {
                **_brief(request, pair),
                'created_at': micro(pair['created_at']),
                'deleted': False,
                'deleted_at': None,
                'id': pair['id'],
                'updated_at': None,
                'user_id': pair['user_id'],
            }
        }
    )


def create_keypair(nova: 'Nova', request: wire.Request) -> wire.Response:
    """POST /os-keypairs: 200 in 2.1, then 201; up to 2.91 it generates a key if the body has none."""
    body = nova.body(request, 'keypair')
    if 'name' not in body or (request.minor >= 92 and 'public_key' not in body):
        missing = 'name' if 'name' not in body else 'public_key'
        raise Refusal(
            400, f"Invalid input for field/attribute keypair. Value: {body}. '{missing}' is a required property"
        )
    given = body.get('user_id') if request.minor >= 10 else None
    user = _user(nova, request, 'create', given or request.user.user_id)  # the query is not read
    quotas.check_keypairs(nova, request, user)
    name = body['name'].strip()
    if (user, name) in nova.keypairs:
        raise Refusal(409, f"Key pair '{name}' already exists.")
    public = body.get('public_key')
    if public is not None and len(public.split()) < 2:
        raise Refusal(400, 'Keypair data is invalid: failed to generate fingerprint')
    text = public or f'ssh-rsa AAAAB3NzaC1yc2E{nova.new_id()} Generated-by-Nova'
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    pair = {
        'id': len(nova.keypairs) + 1,
        'name': name,
        'user_id': user,
        'public_key': text,
        'type': body.get('type', 'ssh'),
        'created_at': nova.stamp(),
        'fingerprint': ':'.join(digest[at : at + 2] for at in range(0, 32, 2)),
    }
    nova.keypairs[(user, name)] = pair
    view = {**_brief(request, pair), 'user_id': user}
    if public is None:
        view['private_key'] = '-----BEGIN RSA PRIVATE KEY-----\nemulated\n-----END RSA PRIVATE KEY-----\n'
    return wire.reply({'keypair': view}, 201 if request.minor >= 2 else 200)


def delete_keypair(nova: 'Nova', request: wire.Request) -> wire.Response:
    """DELETE /os-keypairs/{name}: 202 in 2.1, then 204."""
    pair = _find(nova, request, 'delete')
    del nova.keypairs[(pair['user_id'], pair['name'])]
    return wire.empty(204 if request.minor >= 2 else 202)


ROUTES = [
    Route('GET', '/os-keypairs', list_keypairs),
    Route('POST', '/os-keypairs', create_keypair),
    Route('GET', '/os-keypairs/{name}', show_keypair),
    Route('DELETE', '/os-keypairs/{name}', delete_keypair),
]
