# SPDX-License-Identifier: Apache-2.0
"""Keypairs: of users, not of projects. Pods get the public key; a private one is never seen here.

A key that one pod made itself (compute below 2.92) is read back as its public key, and imported
elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from trio2o import exception
from trio2o.pods.endpoints import COMPUTE
from trio2o.pods.identity import FAILURES, Identity
from trio2o.pods.podapi import PodApi
from trio2o.replication.kinds import KEYPAIR, owner_of
from trio2o.replication.reconcile import Found, Object, Shape, Step

#: The first in which an admin names the user, and the first in which lists have pages.
VERSION = '2.10'
_PAGED = '2.35'
_PAGE = 1000


class Keypairs:
    """The key is ``user_id/name``."""

    kind = KEYPAIR
    service = COMPUTE
    has_own_ids = False
    has_owners = True
    shape = Shape(fixed=('name', 'user_id', 'type', 'public_key'))

    def owners(self, identity: Identity) -> Collection[str]:
        """All users that Keystone shows us; none if it shows none."""
        try:
            answer = identity.session.get(
                '/users',
                endpoint_filter={
                    'service_type': 'identity',
                    'interface': 'public',
                    'version': (3, 0),
                },
                raise_exc=False,
            )
        except FAILURES as error:
            raise exception.ServiceUnavailable(f'Keystone gave no users: {type(error).__name__}') from error
        if answer.status_code != 200:
            return ()
        return [user['id'] for user in answer.json()['users']]

    def list_all(self, api: PodApi, owners: Collection[str]) -> list[Found]:
        return [found for user in sorted(owners) for found in self._of_user(api, user)]

    def _of_user(self, api: PodApi, user: str) -> list[Found]:
        found: list[Found] = []
        query = {'user_id': user}
        if api.can(_PAGED):
            query['limit'] = str(_PAGE)
        while True:
            document = api.get(f'/os-keypairs?{urlencode(query)}', _PAGED) or {}
            page = [row['keypair'] for row in document.get('keypairs', [])]
            found += [_found(user, item) for item in page]
            if not page or 'keypairs_links' not in document:
                return found
            query['marker'] = page[-1]['name']

    def read(self, api: PodApi, key: str, bottom_id: str) -> Found | None:
        user, _, name = key.partition('/')
        document = api.get(_path(user, name), VERSION)
        return None if document is None else _found(user, document['keypair'])

    def create(self, api: PodApi, wanted: Object) -> str:
        names = ('name', 'user_id', 'type', 'public_key')
        body = {name: wanted[name] for name in names}
        api.send('POST', '/os-keypairs', VERSION, {'keypair': body})
        return str(wanted['name'])

    def carry_out(self, api: PodApi, found: Found, step: Step) -> None:
        raise NotImplementedError  # nothing of a keypair can be changed, so nothing is planned

    def remove(self, api: PodApi, found: Found) -> None:
        api.send('DELETE', _path(owner_of(found.key), found.name), VERSION)

    def is_used(self, api: PodApi, bottom_id: str) -> bool:
        return False


def _found(user: str, item: Mapping[str, Any]) -> Found:
    wanted = {
        'name': item['name'],
        'user_id': user,
        'type': item.get('type', 'ssh'),
        'public_key': item['public_key'],
    }
    return Found(keypair_key(user, item['name']), item['name'], item['name'], wanted)


def keypair_key(user_id: str, name: str) -> str:
    return f'{user_id}/{name}'


def _path(user: str, name: str) -> str:
    return f'/os-keypairs/{quote(name, safe="")}?{urlencode({"user_id": user})}'
