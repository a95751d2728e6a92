# SPDX-License-Identifier: Apache-2.0
"""What images say about the volumes that are created with servers, and of volumes that are created from them.

An image may define block devices, such as a volume snapshot, and the type of volumes. What is created from an image
that is made of snapshots has to be in the pod of the snapshots. Nova's own image API, which the first microversion
still has, shows the properties of an image. Its owner may change them, so they are only remembered for a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cachetools import TTLCache
from oslo_utils import uuidutils

from trio2o import exception
from trio2o.gateway.read_object import lookup_timeout
from trio2o.gateway.refs import NamedPod
from trio2o.pods import headers as pod_headers
from trio2o.pods.paths import own_project
from trio2o.resources import IMAGE_VOLUME_TYPE, SERVER, SNAPSHOT, Item
from trio2o.web import json_body
from trio2o.web.call import Call


@dataclass(frozen=True)
class Image:
    """The properties of an image that concern volumes.

    :ivar devices: the block devices that Nova adds to those of a server
    :ivar volume_type: of the volumes that Cinder creates from the image if nothing else names a type
    """

    devices: tuple[Item, ...] = ()
    volume_type: str | None = None

    @property
    def snapshot_ids(self) -> list[str]:
        """The snapshots that it is made of."""
        found = (device.get('snapshot_id') for device in self.devices)
        return [each for each in found if isinstance(each, str)]

    @property
    def boot_snapshot_id(self) -> str | None:
        """The snapshot from which Cinder creates a volume of this image."""
        for device in self.devices:
            if device.get('source_type') == 'snapshot' and device.get('boot_index') == 0:
                return device.get('snapshot_id')
        return None


_NO_IMAGE = Image()
#: Of a reference that a pod does not refuse.
_MAX_LENGTH = 255


class Images:
    """Reads images, and remembers them. There is one in each process."""

    MAX_IMAGES = 10000
    #: For so long an image counts as it was.
    SECONDS = 60.0

    def __init__(self) -> None:
        self._images: TTLCache[str, Image] = TTLCache(self.MAX_IMAGES, self.SECONDS, time.monotonic)
        self._lock = threading.Lock()

    def pods_of(self, call: Call, references: Iterable[Any]) -> Iterator[NamedPod]:
        """Yield the pod of the snapshots of each image that is made of snapshots."""
        for image_id in dict.fromkeys(each for each in references if isinstance(each, str)):
            refs = [(SNAPSHOT, snapshot_id) for snapshot_id in self.read(call, image_id).snapshot_ids]
            route = next(iter(call.runtime.locator.find_many(call, refs).values()), None) if refs else None
            if route is not None:
                yield f'Image {image_id}', route.pod

    def read(self, call: Call, reference: Any) -> Image:
        """Return an image by its id or its name; one without properties if no pod shows it."""
        if not isinstance(reference, str) or not 0 < len(reference) <= _MAX_LENGTH:
            return _NO_IMAGE
        if not uuidutils.is_uuid_like(reference):
            # Only Cinder takes names. Images of one name may be others tomorrow, and for other projects.
            name = quote(reference, safe='', errors='replace')  # no pod takes a name that cannot be encoded
            return self._read(call, f'/images/detail?name={name}') or _NO_IMAGE
        with self._lock:
            known = self._images.get(reference)
        if known is not None:
            return known
        found = self._read(call, f'/images/{reference}')
        if found is not None:
            with self._lock:
                self._images[reference] = found
        return found or _NO_IMAGE

    def _read(self, call: Call, path: str) -> Image | None:
        """Read an image from the first pod that answers; None if that pod does not show it, or no pod answers."""
        if call.lookups.misses_left <= 0:
            return None
        for pod in call.runtime.registry.snapshot().serving(SERVER.service):
            headers, timeout = pod_headers.for_lookup(call, pod, has_version=False), lookup_timeout(call)
            try:
                answer = call.runtime.client.send(
                    pod, SERVER.service, 'GET', own_project(call) + path, headers, timeout=timeout
                )
            except exception.PodError:
                continue
            shown = json_body.object_at(answer.json, 'image') if answer.is_ok else None
            listed = json_body.objects_at(answer.json, 'images') if answer.is_ok else []
            metadata = json_body.object_at(shown or (listed[0] if len(listed) == 1 else None), 'metadata')
            if metadata is not None:
                named = metadata.get(IMAGE_VOLUME_TYPE)
                devices = tuple(json_body.objects_at(metadata, 'block_device_mapping'))
                return Image(devices, named if isinstance(named, str) else None)
            if answer.status < 500:
                break
        call.lookups.missed()
        return None
