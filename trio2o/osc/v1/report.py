# SPDX-License-Identifier: Apache-2.0
"""Reports of jobs, and plans and progress of moves: tables for readers, one document for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cliff.columns import FormattableColumn

Json = dict[str, Any]

_BAR = 30


class Table(FormattableColumn[Any]):
    """Rows of a report: aligned text in a table, the rows themselves in JSON and YAML."""

    def __init__(self, value: Any, titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        super().__init__(value)
        self._rows = [tuple(titles), *(tuple(map(str, row)) for row in rows)]

    def human_readable(self) -> str:
        if len(self._rows) == 1:
            return '-'
        widths = [max(map(len, column)) for column in zip(*self._rows, strict=True)]
        return '\n'.join(
            '  '.join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
            for row in self._rows
        )


class Worded(FormattableColumn[Any]):
    """A value that a table shows in other words; JSON and YAML have the value itself."""

    def __init__(self, value: Any, words: str) -> None:
        super().__init__(value)
        self._words = words

    def human_readable(self) -> str:
        return self._words


def table(items: Sequence[Json], *names: str) -> Table:
    """Make a table of some fields of objects; JSON and YAML have the whole objects."""
    return Table(items, names, ([item[name] for name in names] for item in items))


def bar(percent: int) -> str:
    """Return a progress bar."""
    done = percent * _BAR // 100
    return f'[{"#" * done}{"." * (_BAR - done)}] {percent:3d} %'


def duration(seconds: int) -> str:
    """Return a time in words: ``2 h 5 min``."""
    minutes = max(1, round(seconds / 60))
    return f'{minutes // 60} h {minutes % 60} min' if minutes >= 60 else f'{minutes} min'


def size(amount: int) -> str:
    """Return an amount of bytes in words: ``1.5 GiB``."""
    return f'{amount / 2**30:.1f} GiB'


def shown(report: Json) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """Make names and values for cliff: counts and lists become tables, other values stay as they are."""
    found = {name: _table(value) if isinstance(value, dict | list) else value for name, value in report.items()}
    return tuple(found), tuple(found.values())


def _table(value: Any) -> Table:
    if isinstance(value, list):
        return _of_rows(value)
    if value and all(isinstance(inner, dict) for inner in value.values()):
        names = list(dict.fromkeys(name for inner in value.values() for name in inner))
        return Table(
            value, ('', *names), ((key, *(inner.get(name, '') for name in names)) for key, inner in value.items())
        )
    return Table(value, ('', 'count'), value.items())


def _of_rows(rows: list[Any]) -> Table:
    if not all(isinstance(row, dict) for row in rows):
        return Table(rows, ('',), ((row,) for row in rows))
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Table(rows, names, (tuple(row.get(name, '') for name in names) for row in rows))


def counts(report: Any) -> Iterator[str]:
    """Yield the counts of an unfinished report as words: ``servers 120``."""
    for kind, count in (report.get('resources') or {}).items() if isinstance(report, dict) else ():
        total = count.get('total') if isinstance(count, dict) else count
        yield f'{kind} {total}'
