# SPDX-License-Identifier: Apache-2.0
"""Calls about one admin resource, by a name: mostly that of a host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from trio2o import exception
from trio2o.gateway.admin.ids import AT, AdminResource, Query, split_name
from trio2o.gateway.admin.send import path_with_id, send_to_pod
from trio2o.gateway.call_any_pod import call_any_pod
from trio2o.gateway.call_pods import call_pods, pods_of, uncalled_pods
from trio2o.pods.registry import PodView
from trio2o.web import json_body, pod_failures
from trio2o.web.call import Answer, Call, dump_json


@dataclass(frozen=True)
class NameSource:
    """The list in which a name is looked up.

    :ivar path: of the list; ``collection``: its key; ``name_field``: field of an item that holds the name
    :ivar query: returns the query parameters that find a name
    """

    title: str
    path: str
    collection: str
    name_field: str
    query: Callable[[str], Query]


def find_named(
    call: Call, source: NameSource, name: str, pods: Sequence[PodView] | None = None
) -> tuple[PodView, str] | None:
    """Return the pod that has a name, and the name in that pod; None if no pod lists it to the caller.

    :param name: may be qualified with its pod
    :param pods: to look in; all if None
    :raises Conflict: several pods have the name
    :raises ServiceUnavailable: a pod that may have the name, too, is unreachable
    """
    pod, bare = split_name(call, name)
    if pod is not None:
        return pod, bare
    query = urlencode(source.query(bare), quote_via=quote)
    found = call_pods(call, pods_of(call) if pods is None else pods, path=source.path, query=lambda pod: query)
    for holder, document in list(found.documents.items()):
        if not isinstance(document.get(source.collection), list):
            found.reject(call, holder, 'answered without a list')
    holders = [
        pod
        for pod, document in found.documents.items()
        if any(item.get(source.name_field) == bare for item in json_body.objects_at(document, source.collection))
    ]
    may_know = call.context.may_see_all
    if len(holders) > 1:
        names = ' or '.join(f'{pod.name}{AT}{bare}' for pod in holders)
        where = f'one pod; use {names}.' if may_know else 'one part of the cloud.'
        raise exception.Conflict(f'{source.title} {bare} is in more than {where}')
    lacking = found.missing or (list(found.refusals) if found.documents else [])
    if lacking:
        if not may_know:
            raise pod_failures.maybe_elsewhere(f'{source.title} {bare}')
        example = f'{(holders or lacking)[0].name}{AT}{bare}'
        raise pod_failures.ambiguous_name(f'{source.title.lower()} {bare}', example)
    if not holders and pods is None and found.documents and uncalled_pods(call):
        raise pod_failures.maybe_elsewhere(f'{source.title} {bare}')
    return (holders[0], bare) if holders else None


@dataclass(frozen=True)
class ForwardByName:
    """Send the call to the pod that has the name in the path or in the body.

    :ivar name_in: keys that lead to the name in the body; empty if the name is the first id in the path
    :ivar is_repeated: whether a GET only reads, and may be sent twice
    """

    kind: AdminResource
    source: NameSource
    name_in: tuple[str, ...] = ()
    is_repeated: bool = True

    def __call__(self, call: Call) -> Answer:
        name = self._name(call)
        found = find_named(call, self.source, name) if name else None
        if found is None:
            return call_any_pod(call)
        pod, bare = found
        title = f'{self.source.title} {name}'
        if not self.name_in:
            answer = send_to_pod(call, pod, title, path=path_with_id(call, bare), is_repeated=self.is_repeated)
        else:
            answer = send_to_pod(call, pod, title, body=None if bare == name else self._body(call, bare))
        return self.kind.answer_up(call, pod, answer)

    def _name(self, call: Call) -> str:
        if not self.name_in:
            return call.id
        name = json_body.at(call.json, *self.name_in)
        return name if isinstance(name, str) else ''

    def _body(self, call: Call, bare: str) -> bytes:
        return dump_json(json_body.replaced(call.json, self.name_in, bare))
