# SPDX-License-Identifier: Apache-2.0
"""Microversion headers: what the client asked for, and what the answer says.

Matches nova/api/openstack/wsgi.py and cinder/api/openstack/wsgi.py ``set_api_version_request``, differences
included: Nova ignores a header that names only other services, Cinder refuses it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from trio2o import exception

if TYPE_CHECKING:
    from trio2o.web.service import Service

STANDARD_HEADER = 'OpenStack-API-Version'

_FORMAT = re.compile(r'^([1-9]\d*)\.([1-9]\d*|0)$')


class Version(NamedTuple):
    """A microversion; comparable."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f'{self.major}.{self.minor}'

    @classmethod
    def parse(cls, text: str) -> Version:
        """:raises BadRequest: if the text has not the form MajorNum.MinorNum"""
        match = _FORMAT.match(text)
        if not match:
            raise exception.BadRequest(
                f'API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum.'
            )
        try:
            return cls(int(match[1]), int(match[2]))
        except ValueError:
            # More digits than Python reads.
            raise exception.BadRequest('API Version String is of invalid format: too many digits.') from None


class VersionRange(NamedTuple):
    min: Version
    max: Version


def negotiate(service: Service, headers: dict[str, str], supported: VersionRange) -> Version:
    """Find the version a request is for.

    :param headers: request headers by lower-case name
    :raises BadRequest: malformed, or (Cinder) for other services only
    :raises NotAcceptable: outside the supported range; its headers echo the version refused
    """
    text = _requested(service, headers)
    if text is None:
        return supported.min
    if text == 'latest':
        return supported.max
    version = Version.parse(text)
    if not supported.min <= version <= supported.max:
        raise exception.NotAcceptable(
            f'Version {version} is not supported by the API. '
            f'Minimum is {supported.min} and maximum is {supported.max}.',
            dict(response_headers(service, version)),
        )
    return version


def _requested(service: Service, headers: dict[str, str]) -> str | None:
    value = headers.get('openstack-api-version')
    if service.legacy_version_header is None:
        if value is None:
            return None
        for item in value.split(','):
            words = item.split()
            if service.version_name in item and len(words) == 2:
                return words[1]
        raise exception.BadRequest(
            'The server could not comply with the request since it is either malformed or otherwise incorrect.'
        )
    for item in reversed((value or '').split(',')):
        words = item.split(None, 1)
        if len(words) == 2 and words[0].lower() == service.version_name:
            return words[1].strip()
    legacy = headers.get(service.legacy_version_header.lower())
    return legacy.split(',')[-1].strip() if legacy is not None else None


def response_headers(service: Service, version: Version) -> list[tuple[str, str]]:
    """The version headers of an answer, as Nova and Cinder give them."""
    headers = [(STANDARD_HEADER, f'{service.version_name} {version}'), ('Vary', STANDARD_HEADER)]
    legacy = service.legacy_version_header
    if legacy is not None:
        headers += [(legacy, str(version)), ('Vary', legacy)]
    return headers
