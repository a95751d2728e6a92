# SPDX-License-Identifier: Apache-2.0
"""The errors that clients get when pods are unreachable, in maintenance or do not answer.

All of their texts are here. Tenants see availability zones and never pods. The errors for admins, who choose pods
themselves, name the pod.
"""

from __future__ import annotations

from collections.abc import Sequence

from trio2o.exception import OutcomeUnknown, ServiceUnavailable

#: Seconds after which a client may try again when pods are unreachable.
RETRY_AFTER = 5

_UNKNOWN_OUTCOME = 'The request may or may not have been carried out'


# -- one resource --


def unreachable(name: str, zone: str) -> ServiceUnavailable:
    """The pod of a resource is unreachable.

    :param name: kind and id of the resource, as in ``Server 5f2c...``
    """
    return _retry(f'{name} is in availability zone {zone}, which is partially unavailable.')


def in_maintenance(name: str, zone: str) -> ServiceUnavailable:
    """The pod of a resource is in maintenance. When that ends is not known, so there is no Retry-After."""
    return ServiceUnavailable(f'{name} is in availability zone {zone}, which is partially under maintenance.')


def outcome_unknown(name: str, zone: str) -> OutcomeUnknown:
    """A write was sent to the pod of a resource, and no answer shows what became of it."""
    return OutcomeUnknown(
        f'{name} is in availability zone {zone}, which gave no clear answer in time. {_UNKNOWN_OUTCOME}; '
        'check the resource before you retry.'
    )


def maybe_elsewhere(name: str) -> ServiceUnavailable:
    """No pod that answers has a resource, and a pod that may have it is unreachable."""
    return _retry(f'{name} was not found, but part of the cloud is unavailable.')


# -- the whole cloud --


def unreadable(name: str) -> ServiceUnavailable:
    """No pod shows an object without which the gateway does not know what a request uses."""
    return _retry(f'{name} cannot be read now.')


def cloud_unreachable() -> ServiceUnavailable:
    """No pod can be reached."""
    return _retry('The cloud is unavailable.')


def incomplete() -> ServiceUnavailable:
    """A list or a sum lacks the part of an unreachable pod, and the configuration requires complete answers."""
    return _retry('Part of the cloud is unavailable, so the answer would be incomplete.')


def write_outcome_unknown() -> OutcomeUnknown:
    """A write that any pod may carry out was sent to one, and no clear answer came."""
    return OutcomeUnknown(
        f'The cloud did not answer in time. {_UNKNOWN_OUTCOME}; check the resource before you retry.'
    )


def too_late() -> ServiceUnavailable:
    """The gateway did not come to send a request to a pod before the claim of the request expired."""
    return _retry('The request took too long, and nothing was done.')


# -- creates --


def cannot_create(kind: str, zone: str, *, is_temporary: bool = True) -> ServiceUnavailable:
    """No pod can take a new resource.

    :param kind: of the resource, as in ``server``
    :param zone: the requested availability zone, or an empty string
    :param is_temporary: whether a retry may soon succeed
    """
    where = f'availability zone {zone}' if zone else 'any availability zone'
    problem = f'No part of {where} can take a new {kind} now.'
    return _retry(problem) if is_temporary else ServiceUnavailable(problem)


def create_outcome_unknown(kind: str, zone: str) -> OutcomeUnknown:
    """A create was sent to a pod, and no answer shows whether it was carried out."""
    return OutcomeUnknown(
        f'Availability zone {zone} gave no clear answer in time. The {kind} may or may not have been created; '
        f'list your {kind}s before you retry.'
    )


# -- for admins --


def unreachable_pod(name: str, pod_name: str) -> ServiceUnavailable:
    return _retry(f'{name} is in pod {pod_name}, which is unreachable.')


def pod_in_maintenance(name: str, pod_name: str) -> ServiceUnavailable:
    return ServiceUnavailable(f'{name} is in pod {pod_name}, which is under maintenance.')


def outcome_unknown_in_pod(name: str, pod_name: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f'{name} is in pod {pod_name}, which gave no clear answer in time. {_UNKNOWN_OUTCOME}; check there before you '
        'retry.'
    )


def outcome_unknown_in_parts(places: Sequence[str]) -> OutcomeUnknown:
    """A write was sent to several pods, and no clear answer came from some.

    :param places: what the caller may call these pods, as in ``pod Pod1``
    """
    return OutcomeUnknown(
        f'No clear answer came in time from {", ".join(places)}. {_UNKNOWN_OUTCOME} there; check before you retry.'
    )


def carried_out_in_part() -> ServiceUnavailable:
    """A write was carried out in some pods, and not sent to others, which are unreachable."""
    return _retry('Part of the cloud is unavailable, and the request was carried out in the rest only.')


def ambiguous_name(name: str, example: str) -> ServiceUnavailable:
    """A pod is unreachable that may also have something of this name.

    :param example: the name qualified with its pod
    """
    return _retry(f'A pod that may have {name} is unreachable. To choose the pod, qualify the name, as in {example}.')


def _retry(problem: str) -> ServiceUnavailable:
    return ServiceUnavailable(f'{problem} Please retry later.', retry_after=RETRY_AFTER)
