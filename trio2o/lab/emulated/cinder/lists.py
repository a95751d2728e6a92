# SPDX-License-Identifier: Apache-2.0
"""Filters, order and pages of Cinder's lists."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib import parse

from trio2o.lab.emulated import paging, wire
from trio2o.lab.emulated.clock import parse_time
from trio2o.lab.emulated.collation import sorted_by
from trio2o.lab.emulated.wire import Refusal

if TYPE_CHECKING:
    from trio2o.lab.emulated.cinder import Cinder

Record = dict[str, Any]
_PAGING = {'limit', 'marker', 'offset', 'sort', 'sort_key', 'sort_dir', 'with_count'}
_COLUMNS = {'display_name': 'name', 'display_description': 'description', 'tenant_id': 'project_id'}
_TRUE = {'1', 't', 'true', 'on', 'y', 'yes'}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    'gt': lambda a, b: a > b,
    'gte': lambda a, b: a >= b,
    'eq': lambda a, b: a == b,
    'neq': lambda a, b: a != b,
    'lt': lambda a, b: a < b,
    'lte': lambda a, b: a <= b,
}


def value_of(record: Record, key: str) -> Any:
    """Return the value of a sort or filter key."""
    return record.get(_COLUMNS.get(key, key))


def may_see(request: wire.Request, record: Record) -> bool:
    """Whether the caller may see a record."""
    return request.user.is_admin or record['project_id'] == request.user.project_id


def filters_of(request: wire.Request, allowed: Sequence[str]) -> dict[str, str]:
    """Return the filters; unknown filters of users are ignored, or refused from 3.31."""
    given = {key: value for key, value in request.params if key not in _PAGING}
    if request.user.is_admin:
        return given
    given.pop('all_tenants', None)
    known = set(allowed) | ({f'{name}~' for name in allowed} if request.minor >= 34 else set())
    unknown = [key for key in given if key not in known]
    if unknown and request.minor >= 31:
        raise Refusal(400, f'Invalid filters {",".join(unknown)} are found in query options.')
    return {key: value for key, value in given.items() if key in known}


def choose(request: wire.Request, records: Sequence[Record], filters: dict[str, str]) -> list[Record]:
    """Return the records that match the filters: the caller's, or with ``all_tenants`` those of all projects."""
    everybody = request.user.is_admin and (filters.pop('all_tenants', '0') or '1').lower() in _TRUE
    project = request.user.project_id
    chosen = [row for row in records if everybody or row['project_id'] == project]
    for key, text in filters.items():
        chosen = [row for row in chosen if _matches(request, row, key, text)]
    return chosen


def _matches(request: wire.Request, row: Record, key: str, text: str) -> bool:
    if key.endswith('~'):
        return text in str(value_of(row, key[:-1]) or '')
    if key in ('created_at', 'updated_at'):
        return all(_compare(row, key, item) for item in text.split(','))
    if key == 'metadata':
        wanted = dict(re.findall(r"['\"]([^'\"]+)['\"]\s*:\s*['\"]([^'\"]*)['\"]", text))
        return wanted.items() <= row['metadata'].items()
    value = value_of(row, key)
    if isinstance(value, bool):
        return value == (text.lower() in _TRUE)
    return key not in row and key not in _COLUMNS or str(value) == text


def _compare(row: Record, key: str, item: str) -> bool:
    operator, _, text = item.partition(':')
    if operator not in _COMPARE:
        raise Refusal(400, f'Invalid {operator} operator')
    try:
        return _COMPARE[operator](row[key], parse_time(text))
    except ValueError:
        raise Refusal(400, f'Invalid {text} value') from None


def limit_of(cinder: 'Cinder', request: wire.Request) -> int:
    """Return the page size. Of several values of a parameter, Cinder takes the first one."""
    most = cinder.settings.max_limit
    text = request.first('limit')
    try:
        limit = int(text) if text is not None else most
    except ValueError:
        raise Refusal(400, 'limit param must be an integer') from None
    if limit < 0:
        raise Refusal(400, 'limit param must be positive')
    return min(limit, most)


def _offset_of(request: wire.Request) -> int:
    text = request.first('offset') or '0'
    if not str(text).isdigit():
        raise Refusal(
            400, 'offset must be an integer' if not str(text).lstrip('-').isdigit() else 'offset must be >= 0'
        )
    return int(str(text))


def order_of(request: wire.Request) -> tuple[list[str], list[str]]:
    """Return sort keys and directions; ``created_at`` and ``id`` are added in the first direction."""
    sort = request.first('sort')
    if sort is not None and (request.has('sort_key') or request.has('sort_dir')):
        raise Refusal(
            400,
            "The 'sort_key' and 'sort_dir' parameters are deprecated and cannot be used with the 'sort' parameter.",
        )
    if sort is not None:
        pairs = [item.partition(':') for item in sort.strip().split(',')]
        keys = [key.strip() for key, _, _ in pairs]
        dirs = [way.strip() or 'desc' for _, _, way in pairs]
    else:
        keys = [(request.first('sort_key') or 'created_at').strip()]
        dirs = [(request.first('sort_dir') or 'desc').strip()]
    for way in dirs:
        if way not in ('asc', 'desc'):
            raise Refusal(
                400,
                'Invalid input received: Unknown sort direction, must be one of: '
                'asc-nullsfirst, asc-nullslast, desc-nullsfirst, desc-nullslast, '
                'asc, desc.',
            )
    for key in ('created_at', 'id'):
        if key not in keys:
            keys.append(key)
            dirs.append(dirs[0])
    return keys, dirs


def page_of(
    cinder: 'Cinder', request: wire.Request, chosen: list[Record], known: dict[str, Record], missing: str
) -> list[Record]:
    """Return one page.

    :param missing: text of the 404 for an unknown marker
    """
    limit, offset = limit_of(cinder, request), _offset_of(request)
    keys, dirs = order_of(request)
    for key in keys:
        if chosen and _COLUMNS.get(key, key) not in chosen[0] and key != 'size':
            raise Refusal(400, 'Invalid input received: Invalid sort key')
    wanted = request.first('marker')
    marker = known.get(wanted) if wanted is not None else None
    if wanted is not None and (marker is None or not may_see(request, marker)):
        raise Refusal(404, missing.format(wanted))
    sort_value = sorted_by(value_of, cinder.settings.ignores_case)
    return paging.after(chosen, marker, keys, dirs, sort_value)[offset : offset + limit]


def links_of(
    cinder: 'Cinder', request: wire.Request, page: list[Record], path: str, count: int | None = None
) -> list[dict[str, str]]:
    """Return the next link as a list, or an empty list. As in Cinder, with a count the last page may have a link."""
    if not page or limit_of(cinder, request) > (count or len(page)):
        return []
    params = [(key, value) for key, value in request.params if key != 'marker']
    query = parse.urlencode([*params, ('marker', page[-1]['id'])])
    return [{'rel': 'next', 'href': f'{request.prefix}/{path}?{query}'}]


def counted(request: wire.Request) -> bool:
    """Whether the request has a true ``with_count``, from 3.45."""
    if request.minor < 45 or not request.has('with_count'):
        return False
    text = (request.last('with_count') or '').lower()
    if text not in _TRUE | {'0', 'f', 'false', 'off', 'n', 'no'}:
        raise Refusal(400, f"Invalid input received: '{text}' is not valid for with_count.")
    return text in _TRUE
