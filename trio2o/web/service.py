# SPDX-License-Identifier: Apache-2.0
"""The declaration of an HTTP service: the differences between Compute, Block Storage and Admin API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trio2o.web.microversion import Version, VersionRange

if TYPE_CHECKING:
    from trio2o.web.call import Answer
    from trio2o.web.operations import OperationTable

#: Key of the error body by status; computeFault for all others, as in Nova and Cinder.
FAULT_KEYS = {
    400: 'badRequest',
    401: 'unauthorized',
    403: 'forbidden',
    404: 'itemNotFound',
    405: 'badMethod',
    409: 'conflictingRequest',
    413: 'overLimit',
    415: 'badMediaType',
    422: 'unprocessableEntity',
    429: 'overLimit',
    501: 'notImplemented',
    503: 'serviceUnavailable',
}


@dataclass(frozen=True, eq=False)
class Service:
    """One HTTP service.

    :ivar name: configuration group and name in logs: ``nova_apigw``
    :ivar service_type: service of the pods that it forwards to; ``''`` for the Admin API
    :ivar catalog_types: types under which it may be in Keystone's catalog, and in the access rules of application
        credentials
    :ivar prefix: prefix of the path of every operation: ``/v2.1``
    :ivar aliases: other prefixes with the same operations, where microversions are ignored (``/v2``)
    :ivar version_name: name in OpenStack-API-Version, or None without microversions
    :ivar legacy_version_header: Nova's own older header
    :ivar code_versions: the range of microversions that the rows were written for
    :ivar pages: version documents, and redirects
    :ivar mounts: path -> factory of a WSGI application for that path and below, which needs no token; its parameters
        are configuration, runtime and the API as a WSGI application
    :ivar other_paths: answers paths that are neither pages nor below a prefix; None: 404
    :ivar has_project_in_path: whether a project id may come after the prefix
    :ivar malformed_url: text of the 400 for a project id other than that of the token, with ``{url}`` and ``{token}``
    :ivar has_project_admins_only: whether the policy of the service in pods takes nobody for an admin whose token is
        scoped to a domain or to the system
    :ivar compat_request_id: whether answers also have the older header ``x-compute-request-id``
    :ivar has_json_suffix: whether paths may end in ``.json``, which is ignored
    :ivar media_types: accepted media types of request bodies; others are answered with 415
    :ivar follows_http: whether it follows HTTP where Nova and Cinder do not: 405 with Allow for a known path with
        another method, HEAD and OPTIONS, every error in JSON
    """

    name: str
    service_type: str
    catalog_types: tuple[str, ...]
    prefix: str
    operations: OperationTable
    pages: Mapping[str, Callable[[str, VersionRange | None], Answer]]
    version_name: str = ''
    legacy_version_header: str | None = None
    code_versions: VersionRange | None = None
    aliases: tuple[str, ...] = ()
    mounts: Mapping[str, Callable[[Any, Any, Any], Any]] = field(default_factory=dict)
    other_paths: Callable[[str, str, VersionRange | None], Answer] | None = None
    media_types: frozenset[str] = frozenset({'application/json'})
    has_project_in_path: bool = True
    has_json_suffix: bool = False
    malformed_url: str = 'Malformed request url'
    has_project_admins_only: bool = False
    compat_request_id: bool = True
    follows_http: bool = False


def parse_range(minimum: str, maximum: str) -> VersionRange:
    """Return the range between two microversions."""
    return VersionRange(Version.parse(minimum), Version.parse(maximum))
