# SPDX-License-Identifier: Apache-2.0
"""Print figures as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from load import Measured
from two_trees import Comparison


def table(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """One line for each database, case and number of connections."""
    head = ['case', 'database', 'conn', 'CPU ms', 'goal', 'req/s', 'p50 ms', 'p99 ms', 'MiB', 'failed']
    if 'pod' in rows[0]:
        head += ['+p50', '+p99', 'rate/pod', 'rate/nginx', 'pod CPU', 'nginx CPU', 'nginx req/s']
    lines = [head]
    for row in rows:
        gateway: Measured = row['gateway']
        line = [
            row['case'],
            row['database'],
            str(row['connections']),
            f'{gateway.cpu:.2f}',
            f'{row["goal"]:.1f}' if row['goal'] else '',
            f'{gateway.rate:.0f}',
            f'{gateway.p50:.2f}',
            f'{gateway.p99:.2f}',
            f'{gateway.mib:.0f}',
            f'{gateway.failed} of {gateway.requests}',
        ]
        if 'pod' in row:
            pod, nginx = row['pod'], row['nginx']
            line += [
                f'{gateway.p50 - pod.p50:.2f}',
                f'{gateway.p99 - pod.p99:.2f}',
                f'{gateway.rate / pod.rate:.2f}',
                f'{gateway.rate / nginx.rate:.2f}',
                f'{pod.cpu:.2f}',
                f'{nginx.cpu:.2f}',
                f'{nginx.rate:.0f}',
            ]
        lines.append(line)
    return f'{title}\n{_aligned(lines)}'


def claims(found: Mapping[str, Measured], statements: Mapping[str, int]) -> str:
    """Compare a create without limits and one with limits."""
    lines = [['create, quota', 'CPU ms', 'p50 ms', 'p99 ms', 'queries']]
    for driver, measured in found.items():
        lines.append(
            [driver, f'{measured.cpu:.2f}', f'{measured.p50:.2f}', f'{measured.p99:.2f}', str(statements[driver])]
        )
    without, claimed = found['unlimited'], found['db']
    return f'{_aligned(lines)}\nratio of CPU: {claimed.cpu / without.cpu:.2f}'


def trees(found: Sequence[Comparison], database: str) -> str:
    lines = [['case', 'conn', 'this ms', 'other ms', 'this/other', '25 %', '75 %', 'starts', 'pairs']]
    for row in found:
        lines.append(
            [
                row.case,
                str(row.connections),
                f'{row.ours:.3f}',
                f'{row.theirs:.3f}',
                f'{row.ratio:.3f}',
                *(f'{quartile:.3f}' for quartile in row.quartiles),
                f'{min(row.starts):.3f}..{max(row.starts):.3f}',
                str(row.pairs),
            ]
        )
    return f'Milliseconds of CPU for a request over {database}, and their ratio\n{_aligned(lines)}'


def scale(found: Mapping[str, Any]) -> str:
    """How the pods joined; one line for each case; what the processes use without requests."""
    joined = found['joined']
    parts = [
        f'All pods were registered after {joined["registered"]:.0f} s, all {joined["servers"]} servers in them known '
        f'after {joined["known"]:.0f} s,\nand all first jobs done after {joined["settled"]:.0f} s. Seconds of CPU:',
        _aligned(
            [
                ['process', 'until all are known', 'until all jobs are done'],
                *([name, f'{cpu:.1f}', f'{joined["cpu_settled"][name]:.1f}'] for name, cpu in joined['cpu'].items()),
            ]
        ),
    ]
    if found['cases']:
        parts += [
            'Milliseconds of CPU for a request: with all pods, and with the first ones alone',
            cases(found['cases']),
        ]
    if 'idle' in found:
        parts.append(_idle(found['idle']))
    return '\n'.join(parts)


def cases(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [['case', 'ms', 'pods', 'ms there', 'ratio', 'at most', '25 %', '75 %', 'failed', 'MiB', 'at the end']]
    for row in rows:
        lines.append(
            [
                row['case'],
                f'{row["ours"]:.3f}',
                str(row['pods']),
                f'{row["theirs"]:.3f}',
                f'{row["ratio"]:.3f}',
                f'{row["at_most"]:.1f}',
                *(f'{quartile:.3f}' for quartile in row['quartiles']),
                str(row['failed']),
                *(f'{mib:.0f}' for mib in row['mib']),
            ]
        )
    return _aligned(lines)


def _idle(idle: Mapping[str, Any]) -> str:
    lines = [['process', 'part of a processor', 'MiB', 'at the end']]
    for name, part in idle['cpu'].items():
        lines.append([name, f'{part:.3f}', *(f'{mib:.0f}' for mib in idle['mib'][name])])
    ours = sum(part for name, part in idle['cpu'].items() if name.startswith('trio2o'))
    median, most, longest = idle['delays']
    return (
        f'Without requests, in {idle["seconds"]:.0f} s: all processes of Trio2o {ours:.3f} of a processor\n'
        f'{_aligned(lines)}\n'
        f'{idle["changes"]} changes in pods were known after {median:.0f} s (median), {most:.0f} s (99 %) and '
        f'{longest:.0f} s (longest); {idle["unknown"]} never'
    )


def plain(found: Mapping[str, float]) -> str:
    """One line for each figure."""
    return _aligned(
        [[name, f'{value:.1f}' if isinstance(value, float) else str(value)] for name, value in found.items()]
    )


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return '\n'.join(
        '  '.join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
