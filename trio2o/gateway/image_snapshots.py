# SPDX-License-Identifier: Apache-2.0
"""Images that are made of volume snapshots. What is created from one has to be in the pod of the snapshots.

Such an image has no bytes, only a block device mapping. The mapping never changes, so it is read once, from Nova's own
image API, which the first microversion still has.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from cachetools import LRUCache
from oslo_utils import uuidutils

from trio2o import exception
from trio2o.gateway.read_object import lookup_timeout
from trio2o.gateway.refs import NamedPod
from trio2o.pods import headers as pod_headers
from trio2o.pods.paths import own_project
from trio2o.resources import SERVER, SNAPSHOT
from trio2o.web import json_body
from trio2o.web.call import Call


class ImageSnapshots:
    """Finds the snapshots of images, and remembers them. There is one in each process."""

    #: Images to remember; most are made of no snapshots.
    MAX_IMAGES = 10000

    def __init__(self) -> None:
        self._snapshots: LRUCache[str, tuple[str, ...]] = LRUCache(self.MAX_IMAGES)
        self._lock = threading.Lock()

    def pods_of(self, call: Call, image_ids: Iterable[Any]) -> Iterator[NamedPod]:
        """Yield the pod of the snapshots of each image that is made of snapshots."""
        for image_id in dict.fromkeys(each for each in image_ids if isinstance(each, str)):
            refs = [(SNAPSHOT, snapshot_id) for snapshot_id in self.ids(call, image_id)]
            route = next(iter(call.runtime.locator.find_many(call, refs).values()), None) if refs else None
            if route is not None:
                yield f'Image {image_id}', route.pod

    def ids(self, call: Call, image_id: str) -> tuple[str, ...]:
        """Return the ids of the snapshots that an image is made of; none as well if no pod shows the image."""
        if not uuidutils.is_uuid_like(image_id):
            return ()
        if len(call.runtime.registry.snapshot().pods) < 2:
            return ()
        with self._lock:
            known = self._snapshots.get(image_id)
        if known is not None:
            return known
        found = _read(call, image_id) if call.lookups.misses_left > 0 else None
        if found is not None:
            with self._lock:
                self._snapshots[image_id] = found
        return found or ()


def _read(call: Call, image_id: str) -> tuple[str, ...] | None:
    """Read an image from the first pod that answers; None if that pod does not show it, or no pod answers."""
    path = f'{own_project(call)}/images/{image_id}'
    for pod in call.runtime.registry.snapshot().serving(SERVER.service):
        headers, timeout = pod_headers.for_lookup(call, pod, has_version=False), lookup_timeout(call)
        try:
            answer = call.runtime.client.send(pod, SERVER.service, 'GET', path, headers, timeout=timeout)
        except exception.PodError:
            continue
        metadata = json_body.at(answer.json, 'image', 'metadata') if answer.is_ok else None
        if isinstance(metadata, dict):
            devices = json_body.objects_at(metadata, 'block_device_mapping')
            found = [device.get('snapshot_id') for device in devices]
            return tuple(each for each in found if isinstance(each, str))
        if answer.status < 500:
            break
    call.lookups.missed()
    return None
