# SPDX-License-Identifier: Apache-2.0
"""Microversion headers of requests and answers.

They match ``set_api_version_request`` in nova/api/openstack/wsgi.py and cinder/api/openstack/wsgi.py, including the
differences: Nova ignores a header that names only other services, Cinder refuses it.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, NamedTuple

import microversion_parse

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
        """:raises BadRequest: the text does not have the form MajorNum.MinorNum"""
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
    """Find the microversion of a request.

    :param headers: request headers by lower-case name
    :raises BadRequest: a malformed header, or (Cinder) one for other services only
    :raises NotAcceptable: the version is outside the supported range; the headers of the answer repeat it
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
    value, legacy = headers.get(STANDARD_HEADER.lower()), service.legacy_version_header
    if legacy is None:
        return _requested_of_cinder(service, value)
    return _requested_of_nova(service.version_name, value, legacy, headers.get(legacy.lower()))


@functools.lru_cache(maxsize=256)
def _requested_of_nova(name: str, value: str | None, legacy: str, legacy_value: str | None) -> str | None:
    """Read both headers as Nova does, with microversion_parse.

    Cached, as the library takes a hundredth of the time of a request, and clients send few different values.
    """
    headers = {STANDARD_HEADER: value, legacy: legacy_value}
    return microversion_parse.get_version(
        {key: text for key, text in headers.items() if text is not None}, name, [legacy]
    )


def _requested_of_cinder(service: Service, value: str | None) -> str | None:
    """Read the header as Cinder does, which does not use microversion_parse.

    The first item for the service counts, not the last; ``volumev3`` in an item stands for ``volume`` too, case
    matters; and a header without any item for the service is an error.
    """
    if value is None:
        return None
    for item in value.split(','):
        words = item.split()
        if service.version_name in item and len(words) == 2:
            return words[1]
    raise exception.BadRequest(
        'The server could not comply with the request since it is either malformed or otherwise incorrect.'
    )


def response_headers(service: Service, version: Version) -> list[tuple[str, str]]:
    """The version headers of an answer, as Nova and Cinder send them."""
    headers = [(STANDARD_HEADER, f'{service.version_name} {version}'), ('Vary', STANDARD_HEADER)]
    legacy = service.legacy_version_header
    if legacy is not None:
        headers += [(legacy, str(version)), ('Vary', legacy)]
    return headers
