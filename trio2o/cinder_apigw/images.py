# SPDX-License-Identifier: Apache-2.0
"""Images that are made of snapshots of volumes: a volume of one can only be made where the snapshots are.

Such an image has no bytes, only a block device mapping, which never changes; so it is looked up once. A pod's
Nova tells, as it shows images in its first version.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from oslo_utils import uuidutils

from trio2o import exception
from trio2o.gateway.forward import at
from trio2o.gateway.kinds import SERVER, SNAPSHOT
from trio2o.gateway.locate import Route
from trio2o.pods import headers as pod_headers
from trio2o.pods.registry import PodView
from trio2o.web.call import Answer, Call

#: Cinder looks at the mapping from here on.
SINCE = (3, 46)
#: Images whose snapshots are remembered; most have none.
MOST = 10000

_snapshots: OrderedDict[str, tuple[str, ...]] = OrderedDict()
_lock = threading.Lock()


def pod_of_image(call: Call, document: Any) -> tuple[Any, tuple[str, PodView] | None]:
    """The body of a create, and the image it names with the pod that its snapshots are in, if it has any."""
    if call.version is None or call.version < SINCE or len(call.runtime.registry.snapshot().pods) < 2:
        return document, None
    image_id = at('volume', 'imageRef')(document) or at('volume', 'image_id')(document)
    if not isinstance(image_id, str) or not uuidutils.is_uuid_like(image_id):
        return document, None
    for snapshot_id in _snapshots_of(call, image_id):
        try:
            route: Route = call.runtime.locator.find(call, SNAPSHOT, snapshot_id)
        except exception.NotFound:
            continue
        return document, (f'Image {image_id}', route.pod)
    return document, None


def _snapshots_of(call: Call, image_id: str) -> tuple[str, ...]:
    known = _snapshots.get(image_id)
    if known is None:
        known = _read(call, image_id)
        if known is None:
            return ()
        with _lock:
            _snapshots[image_id] = known
            while len(_snapshots) > MOST:
                _snapshots.popitem(last=False)
    return known


def _read(call: Call, image_id: str) -> tuple[str, ...] | None:
    """Ask for an image; None if nobody shows it."""
    drop = ('content-type', 'if-match', 'openstack-api-version')
    headers = [(name, value) for name, value in pod_headers.down(call) if name.lower() not in drop]
    path = f'/{call.context.project_id}/images/{image_id}'
    for pod in call.runtime.registry.snapshot().asked(SERVER.service):
        try:
            answer: Answer = call.runtime.client.send(pod, SERVER.service, 'GET', path, headers)
        except exception.PodError:
            continue
        metadata = at('image', 'metadata')(answer.json) if answer.is_ok else None
        if isinstance(metadata, dict):
            mapping = metadata.get('block_device_mapping')
            devices = mapping if isinstance(mapping, list) else []
            found = [device.get('snapshot_id') for device in devices if isinstance(device, dict)]
            return tuple(each for each in found if isinstance(each, str))
        if answer.status < 500:
            return None
    return None
