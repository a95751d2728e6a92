# SPDX-License-Identifier: Apache-2.0
"""Images that are made of snapshots of volumes: what is made from one has to be where the snapshots are.

Such an image has no bytes, only a block device mapping, which never changes; so it is looked up once. A pod's
Nova tells, as it shows images in its first version.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from oslo_utils import uuidutils

from trio2o import exception
from trio2o.pods import headers as pod_headers
from trio2o.resources import SERVER
from trio2o.web import json_body
from trio2o.web.call import Answer, Call

#: Images whose snapshots are remembered; most have none.
MOST = 10000

_snapshots: OrderedDict[str, tuple[str, ...]] = OrderedDict()
_lock = threading.Lock()


def snapshots_of(call: Call, image_id: Any) -> tuple[str, ...]:
    """Ids of the volume snapshots that an image is made of; none if there is nobody to tell."""
    if not isinstance(image_id, str) or not uuidutils.is_uuid_like(image_id):
        return ()
    if len(call.runtime.registry.snapshot().pods) < 2:
        return ()
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
            answer: Answer = call.runtime.client.send(
                pod, SERVER.service, 'GET', path, headers, timeout=call.runtime.conf.pods.probe_timeout
            )
        except exception.PodError:
            continue
        metadata = json_body.at(answer.json, 'image', 'metadata') if answer.is_ok else None
        if isinstance(metadata, dict):
            devices = json_body.objects_at(metadata, 'block_device_mapping')
            found = [device.get('snapshot_id') for device in devices]
            return tuple(each for each in found if isinstance(each, str))
        if answer.status < 500:
            return None
    return None
