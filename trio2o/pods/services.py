# SPDX-License-Identifier: Apache-2.0
"""novaclient and cinderclient on our own session, for calls Trio2o makes of its own accord."""

from __future__ import annotations

from typing import Any

from cinderclient import client as cinder_client
from novaclient import client as nova_client

from trio2o import exception
from trio2o.pods.endpoints import COMPUTE, VOLUME, Endpoint
from trio2o.pods.identity import Identity
from trio2o.pods.registry import PodView


def nova(identity: Identity, pod: PodView, version: str, timeout: float | None = None) -> Any:
    """A novaclient for one pod.

    :param version: microversion wanted; lowered to what the pod has
    :raises PodNotReached: the pod has no compute endpoint
    """
    endpoint = _endpoint(pod, COMPUTE)
    return nova_client.Client(
        _lowered(version, endpoint),
        session=identity.session,
        endpoint_override=endpoint.url,
        service_type='compute',
        timeout=timeout,
    )


def cinder(identity: Identity, pod: PodView, version: str, timeout: float | None = None) -> Any:
    """A cinderclient for one pod; see ``nova``."""
    endpoint = _endpoint(pod, VOLUME)
    return cinder_client.Client(
        _lowered(version, endpoint),
        session=identity.session,
        endpoint_override=endpoint.url,
        service_type='volumev3',
        timeout=timeout,
    )


def _endpoint(pod: PodView, service: str) -> Endpoint:
    endpoint = pod.endpoints.get(service)
    if endpoint is None:
        raise exception.PodNotReached(pod.name, f'has no {service} endpoint')
    return endpoint


def _lowered(version: str, endpoint: Endpoint) -> str:
    if not endpoint.max_version:
        return version
    wanted = tuple(map(int, version.split('.')))
    most = tuple(map(int, endpoint.max_version.split('.')))
    return version if wanted <= most else endpoint.max_version
