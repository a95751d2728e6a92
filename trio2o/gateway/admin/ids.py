# SPDX-License-Identifier: Apache-2.0
"""Ids and names of admin resources: translate those that admins see into a pod and its own id or name, and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from trio2o.gateway.call_pod import names_of
from trio2o.gateway.translate import PodNames, answer_up
from trio2o.pods.registry import PodView
from trio2o.resources import Item
from trio2o.web import json_body
from trio2o.web.call import Answer, Call, dump_json, parse_json
from trio2o.web.numbers import parse_number

#: ``top = bottom * STEP + number`` for the pods with a number below this, and
#: ``top = (bottom * LONG_STEP + number) * STEP`` for the others. No pod has the number 0, so that an id that ends with
#: three zeros is of the second form. The number of a deleted pod is used again.
STEP, LONG_STEP = 1000, 1000000
#: Separates a pod's name from a name in it. No host name contains it; URLs and command arguments may.
AT = '@'
#: No id has more digits.
MAX_DIGITS = 18

Query = list[tuple[str, str]]
#: Replaces names other than links and numbers in an item of a pod, in place.
Rename = Callable[[Item, PodNames], None]


def top_number(bottom: int, pod: PodView) -> int:
    """Return the top id for a number in a pod."""
    return join_id(bottom, pod.record.number)


def join_id(bottom: int, pod_number: int) -> int:
    """Return the top id for a number in the pod with a number."""
    if pod_number < STEP:
        return bottom * STEP + pod_number
    return (bottom * LONG_STEP + pod_number) * STEP


def split_id(top: int) -> tuple[int, int]:
    """Return the number in a pod, and the number of the pod, for a top id; of the pod 0 if no pod has such an id."""
    bottom, pod_number = divmod(top, STEP)
    if not pod_number:
        bottom, pod_number = divmod(bottom, LONG_STEP)
        pod_number = pod_number if pod_number >= STEP else 0
    return bottom, pod_number


def free_ids(bottom: int) -> Iterator[int]:
    """Yield ids that are those of no number in any pod, to be assigned to something with this number in its pod."""
    return ((bottom * LONG_STEP + count) * STEP for count in range(1, STEP))


def bottom_number(call: Call, text: str) -> tuple[PodView, int] | None:
    """Return the pod and the number in it for a top id; None if there is no such pod."""
    top = parse_number(text, MAX_DIGITS)
    if top is None:
        return None
    bottom, number = split_id(top)
    pod = call.runtime.registry.snapshot().by_number.get(number)
    return None if pod is None else (pod, bottom)


def renumber_refusal(answer: Answer, title: str, bottom: int, top_id: str) -> Answer:
    """Replace the number that a resource has in its pod by the id that callers know, in the text of a refusal."""
    number = re.compile(rb'(%b )%d\b' % (title.encode(), bottom), re.IGNORECASE)
    return replace(answer, body=number.sub(rb'\g<1>' + top_id.encode(), answer.body))


def split_name(call: Call, name: str) -> tuple[PodView | None, str]:
    """Return the pod that a name is qualified with, or None, and the name without it."""
    pod_name, at, rest = name.partition(AT)
    if at:
        for pod in call.runtime.registry.snapshot().pods:
            if pod.name == pod_name:
                return pod, rest
    return None, name


@dataclass(frozen=True)
class AdminResource:
    """A kind of resource that admins see of every pod and that is not replicated, such as hosts.

    :ivar title: the kind as messages name it
    :ivar member: key of one in a body; ``collection``: key of many
    :ivar numbers: paths of the whole numbers in an item that are ids
    :ivar missing: text of the 404, with ``{id}``
    :ivar uuids_from: version from which its id is a UUID, if there is one
    :ivar rename: replaces further names in an item, such as that of the zone
    """

    title: str
    member: str
    collection: str
    missing: str
    numbers: tuple[tuple[str, ...], ...] = (('id',),)
    uuids_from: tuple[int, int] | None = None
    rename: Rename | None = None

    def has_uuids(self, call: Call) -> bool:
        return self.uuids_from is not None and call.version is not None and call.version >= self.uuids_from

    def up(self, item: Item, pod: PodView, names: PodNames) -> None:
        """Translate an item of a pod in place."""
        for *path, last in self.numbers:
            inner = json_body.object_at(item, *path)
            if inner is not None and type(inner.get(last)) is int:
                inner[last] = top_number(inner[last], pod)
        if self.rename is not None:
            self.rename(item, names)

    def answer_up(self, call: Call, pod: PodView, answer: Answer) -> Answer:
        """Translate a pod's answer about one such resource."""
        names = names_of(call, pod)
        answer = answer_up(answer, names, None)
        document = parse_json(answer.body) if answer.is_ok else None
        item = json_body.object_at(document, self.member)
        if item is None:
            return answer
        self.up(item, pod, names)
        return replace(answer, body=dump_json(document))
