# SPDX-License-Identifier: Apache-2.0
"""What is wanted of a pod."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class PodRequest:
    """A new resource looking for a pod.

    :ivar service: the API that will be asked: ``compute`` or ``volume``
    :ivar zone: '' for any
    :ivar tried: ids of pods that have failed this request already
    :ivar bound: ids of the pods the project is bound to now, oldest binding first (those made by hand before)
    """

    service: str
    project_id: str
    zone: str = ''
    affinity_group: str = ''
    tried: frozenset[str] = field(default_factory=frozenset)
    bound: tuple[str, ...] = ()
