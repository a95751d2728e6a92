# SPDX-License-Identifier: Apache-2.0
"""The base class of the adapters for objects that have specs: flavors, volume types, group types and QoS specs.

Their APIs differ in little but names. What they have in common is here, and an adapter gives the names, the
translation of attributes in both directions, and the requests that its API has otherwise.
"""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

from trio2o.pods.podapi import PodApi
from trio2o.replication.adapters.base import PAGE, Adapter, Json, list_pages
from trio2o.replication.reconcile import (
    AddMembers,
    Attributes,
    DropItems,
    PodObject,
    RemoveMembers,
    SetFields,
    SetItems,
    Step,
)


@dataclass(frozen=True)
class Access:
    """Names in the API for the projects that may use a private object.

    :ivar path: last segment of the list's path; ``member``: key of its rows; ``project``: key of the project in a row
    :ivar add: action that gives access; ``remove``: action that takes it away; ``argument``: key of the project in it
    """

    path: str
    member: str
    project: str
    add: str
    remove: str
    argument: str


class SpecsAdapter(Adapter):
    """Lists, shows, creates, changes and deletes objects that have specs.

    :cvar version: microversion of the requests
    :cvar collection: path of the collection; ``list_path``: path of the list with all attributes, if it is another
    :cvar member: key of one object in a body; ``members``: key of the objects in a list
    :cvar links: see ``list_pages``
    :cvar specs_path: last segment of the path of an object's specs; ``specs_member``: key of the specs in a body
    :cvar access: None if objects of the kind have no access list
    """

    version: ClassVar[str]
    collection: ClassVar[str]
    list_path: ClassVar[str] = ''
    list_query: ClassVar[Mapping[str, str]] = {'is_public': 'None'}
    member: ClassVar[str]
    members: ClassVar[str]
    links: ClassVar[str] = ''
    specs_path: ClassVar[str] = 'extra_specs'
    specs_member: ClassVar[str] = 'extra_specs'
    access: ClassVar[Access | None] = None

    # -- translation --

    @abc.abstractmethod
    def attributes(self, api: PodApi, item: Json) -> dict[str, Any]:
        """Return the attributes of an object in a pod's answer; reads those that the answer does not have."""

    @abc.abstractmethod
    def create_body(self, api: PodApi, desired: Attributes) -> Json:
        """Return the body of the request that creates an object, without its outermost key."""

    # -- requests --

    def list_all(self, api: PodApi, owners: Collection[str]) -> list[PodObject]:
        path = self.list_path or self.collection
        query = {**self.list_query, 'limit': str(PAGE)}
        items = list_pages(api, path, self.version, self.members, query, links=self.links)
        return [self._found(api, item) for item in items]

    def read(self, api: PodApi, key: str, bottom_id: str) -> PodObject | None:
        document = api.get(self.path(bottom_id), self.version)
        return None if document is None else self._found(api, document[self.member])

    def create(self, api: PodApi, desired: Attributes) -> str:
        body = {self.member: self.create_body(api, desired)}
        answer = api.send('POST', self.collection, self.version, body)
        return str(answer.json[self.member]['id'])

    def apply(self, api: PodApi, found: PodObject, step: Step) -> None:
        path = self.path(found.bottom_id)
        match step:
            case SetFields(values):
                self.set_fields(api, found, values)
            case SetItems(_, items):
                self.set_specs(api, path, items)
            case DropItems(_, keys):
                self.delete_specs(api, path, keys)
            case AddMembers(_, members):
                for member in members:
                    self.add_member(api, path, member)
            case RemoveMembers(_, members):
                for member in members:
                    self.remove_member(api, path, member)

    def delete(self, api: PodApi, found: PodObject) -> None:
        api.send('DELETE', self.path(found.bottom_id), self.version)

    # -- steps --

    def set_fields(self, api: PodApi, found: PodObject, values: Attributes) -> None:
        api.send('PUT', self.path(found.bottom_id), self.version, {self.member: dict(values)})

    def set_specs(self, api: PodApi, path: str, specs: Attributes) -> None:
        api.send('POST', f'{path}/{self.specs_path}', self.version, {self.specs_member: dict(specs)})

    def delete_specs(self, api: PodApi, path: str, keys: Collection[str]) -> None:
        for key in keys:
            api.send('DELETE', f'{path}/{self.specs_path}/{quote(key, safe="")}', self.version)

    def add_member(self, api: PodApi, path: str, member: str) -> None:
        if self.access is not None:
            self._act(api, path, self.access.add, {self.access.argument: member})

    def remove_member(self, api: PodApi, path: str, member: str) -> None:
        if self.access is not None:
            self._act(api, path, self.access.remove, {self.access.argument: member})

    # -- for subclasses --

    def path(self, object_id: str) -> str:
        return f'{self.collection}/{quote(object_id, safe="")}'

    def projects_with_access(self, api: PodApi, object_id: str) -> list[str]:
        """Read the projects that may use a private object."""
        if self.access is None:
            return []
        document = api.get(f'{self.path(object_id)}/{self.access.path}', self.version)
        return sorted(row[self.access.project] for row in document[self.access.member]) if document is not None else []

    def _found(self, api: PodApi, item: Json) -> PodObject:
        object_id = str(item['id'])
        return PodObject(object_id, object_id, item['name'], self.attributes(api, item))

    def _act(self, api: PodApi, path: str, action: str, arguments: Json) -> None:
        api.send('POST', f'{path}/action', self.version, {action: dict(arguments)})
