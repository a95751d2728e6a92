# SPDX-License-Identifier: Apache-2.0
"""Numbers and names of the top, and what they stand for in a pod."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from trio2o.gateway.call_pod import names_of
from trio2o.gateway.translate import PodNames, answer_up
from trio2o.pods.registry import PodView
from trio2o.resources import Item
from trio2o.web.call import Answer, Call, dump_json, parse_json

#: Pods have numbers below this; they are given out from 1 and used again.
STEP = 1000
#: Stands between a pod's name and a name in it: no host name has it, and URLs and arguments may.
AT = '@'
#: Longer numbers are nobody's id.
MAX_DIGITS = 18

Query = list[tuple[str, str]]
#: Puts an item of a pod into the top's terms, in place, beyond links and numbers.
Rename = Callable[[Item, PodNames], None]


def top_number(bottom: int, pod: PodView) -> int:
    return bottom * STEP + pod.record.number


def bottom_number(call: Call, text: str) -> tuple[PodView, int] | None:
    """The pod and its number that a number of the top stands for; None if it stands for nothing."""
    if not (text.isascii() and text.isdecimal()) or len(text) > MAX_DIGITS:
        return None
    bottom, number = divmod(int(text), STEP)
    for pod in call.runtime.registry.snapshot().pods:
        if pod.record.number == number:
            return pod, bottom
    return None


def split_name(call: Call, name: str) -> tuple[PodView | None, str]:
    """A name as it was qualified: its pod, or None, and the name in it."""
    pod_name, at, rest = name.partition(AT)
    if at:
        for pod in call.runtime.registry.snapshot().pods:
            if pod.name == pod_name:
                return pod, rest
    return None, name


@dataclass(frozen=True)
class Kind:
    """A kind of thing that every pod has of its own.

    :ivar member: key of one in a body; ``collection``: key of many
    :ivar numbers: places of its ids that are whole numbers in some version
    :ivar missing: text of the 404, with ``{id}``
    :ivar uuids_from: version from which its id is a UUID, if it ever is
    :ivar rename: puts an item into the top's terms beyond links and numbers
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
        """Put an item of a pod into the top's terms, in place."""
        for *place, last in self.numbers:
            inner: Any = item
            for key in place:
                inner = inner.get(key) if isinstance(inner, dict) else None
            if isinstance(inner, dict) and type(inner.get(last)) is int:
                inner[last] = top_number(inner[last], pod)
        if self.rename is not None:
            self.rename(item, names)

    def answer_up(self, call: Call, pod: PodView, answer: Answer) -> Answer:
        """A pod's answer about one of these in the top's terms."""
        names = names_of(call, pod)
        answer = answer_up(answer, names, None)
        document = parse_json(answer.body) if answer.is_ok else None
        item = document.get(self.member) if isinstance(document, dict) else None
        if not isinstance(item, dict):
            return answer
        self.up(item, pod, names)
        return replace(answer, body=dump_json(document))
