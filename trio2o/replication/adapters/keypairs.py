# SPDX-License-Identifier: Apache-2.0
"""Key pairs, which belong to users and not to projects. Pods get the public key; a private key is never seen here.

A key pair that one pod generated itself (compute API before 2.92) is read back as its public key, and imported into
the other pods.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import quote, urlencode

from trio2o.pods.endpoints import COMPUTE
from trio2o.pods.identity import Identity
from trio2o.pods.podapi import PodApi
from trio2o.replication.adapters.base import PAGE, Adapter, Json, list_pages
from trio2o.replication.kinds import KEYPAIR, keypair_key, owner_of
from trio2o.replication.reconcile import Attributes, PodObject, Shape, Step

#: The first version in which an admin names the user, and the first one in which lists have pages.
VERSION = '2.10'
_PAGED = '2.35'

_FIELDS = ('name', 'user_id', 'type', 'public_key')


class Keypairs(Adapter):
    """The key is ``user_id/name``."""

    kind = KEYPAIR
    service = COMPUTE
    has_owners = True
    shape = Shape(fixed=_FIELDS)

    def owners(self, identity: Identity) -> Collection[str]:
        """Return all users that Keystone lists for us; none if its policy forbids it."""
        return identity.user_ids()

    def list_all(self, api: PodApi, owners: Collection[str]) -> list[PodObject]:
        return [found for user in sorted(owners) for found in self._list_user(api, user)]

    def _list_user(self, api: PodApi, user: str) -> list[PodObject]:
        query = {'user_id': user}
        if api.can(_PAGED):
            query['limit'] = str(PAGE)
        rows = list_pages(
            api,
            '/os-keypairs',
            _PAGED,
            'keypairs',
            query,
            links='keypairs_links',
            marker_of=lambda row: row['keypair']['name'],
        )
        return [_found(user, row['keypair']) for row in rows]

    def read(self, api: PodApi, key: str, bottom_id: str) -> PodObject | None:
        user, _, name = key.partition('/')
        document = api.get(_path(user, name), VERSION)
        return None if document is None else _found(user, document['keypair'])

    def create(self, api: PodApi, desired: Attributes) -> str:
        body = {name: desired[name] for name in _FIELDS}
        api.send('POST', '/os-keypairs', VERSION, {'keypair': body})
        return str(desired['name'])

    def apply(self, api: PodApi, found: PodObject, step: Step) -> None:
        raise NotImplementedError  # All fields are fixed, so that no step is ever planned.

    def delete(self, api: PodApi, found: PodObject) -> None:
        api.send('DELETE', _path(owner_of(found.key), found.name), VERSION)


def _found(user: str, item: Json) -> PodObject:
    attributes = {
        'name': item['name'],
        'user_id': user,
        'type': item.get('type', 'ssh'),
        'public_key': item['public_key'],
    }
    return PodObject(keypair_key(user, item['name']), item['name'], item['name'], attributes)


def _path(user: str, name: str) -> str:
    return f'/os-keypairs/{quote(name, safe="")}?{urlencode({"user_id": user})}'
