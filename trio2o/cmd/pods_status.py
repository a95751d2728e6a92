# SPDX-License-Identifier: Apache-2.0
"""``trio2o-status pods``: a health check of all pods, printed as a table or as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from oslo_config import cfg

from trio2o import exception
from trio2o.cmd.output import UNKNOWN, print_json
from trio2o.db.errors import UNREACHABLE
from trio2o.pods.health_check import Level, PodHealth, Probe, Thresholds, check_health, range_text
from trio2o.pods.stopped_comparisons import stopped_comparisons
from trio2o.runtime import build_runtime

_HEAD = (
    'Pod',
    'Zone',
    'State',
    'Service',
    'Versions',
    'Latency',
    'Breaker',
    'Clock',
    'Out of sync',
    'Usage',
    'Result',
)
_NOTE = 'Breaker: state after this one answer. The breakers of the gateways are in their /metrics.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = Thresholds()
    parser.add_argument('--format', choices=['table', 'json'], default='table', help='output format (%(default)s)')
    parser.add_argument(
        '--timeout', type=_seconds, default=default.timeout, help='seconds to wait for a pod (%(default)g)'
    )
    parser.add_argument(
        '--max-latency', type=_seconds, default=default.latency, help='seconds above which to warn (%(default)g)'
    )
    parser.add_argument(
        '--max-skew',
        type=_seconds,
        default=default.skew,
        help='seconds of clock skew above which to warn (%(default)g)',
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 3600:
        raise argparse.ArgumentTypeError(f'{text} is not a time between 0 and 3600 seconds')
    return seconds


def run(conf: cfg.ConfigOpts, args: argparse.Namespace) -> int:
    """Check all pods and print the results.

    :returns: the exit status
    """
    limits = Thresholds.of(conf, timeout=args.timeout, latency=args.max_latency, skew=args.max_skew)
    runtime = build_runtime(conf)
    try:
        pods = runtime.registry.snapshot().pods
        stopped = stopped_comparisons(runtime.db, pods)
        found = check_health(runtime.client, runtime.identity, runtime.pod_threads, pods, limits, stopped)
    except exception.ServiceUnavailable as error:
        return _cannot(args.format, f'{error} Look at [service_auth].')
    except UNREACHABLE as error:
        return _cannot(args.format, f'The database cannot be read: {type(error).__name__}.')
    finally:
        runtime.shutdown()
    level = max((health.level for health in found), default=Level.OK)
    if args.format == 'json':
        print_json({'level': level.name.lower(), 'pods': [health.to_json() for health in found]})
    else:
        print(table(found))
    return int(level)


def _cannot(form: str, reason: str) -> int:
    if form == 'json':
        print_json({'level': 'unknown', 'error': reason, 'pods': []})
    else:
        print(f'unknown: {reason}')
    return UNKNOWN


def table(found: Sequence[PodHealth]) -> str:
    """Format the results: a line for each service of each pod, then all problems."""
    if not found:
        return 'No pod is registered.'
    lines = [_HEAD, *(line for health in found for line in _lines(health))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ['  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, '  '.join('-' * width for width in widths))
    reasons = [
        f'{health.pod.name}: {_word(health, level)}: {reason}'
        for health in found
        for level, reason in sorted(health.reasons, reverse=True)
    ]
    return '\n'.join([*text, '', *reasons, *([''] if reasons else []), _NOTE])


def _word(health: PodHealth, level: Level) -> str:
    return 'does not count' if health.pod.in_maintenance else level.name.lower()


def _lines(health: PodHealth) -> list[tuple[str, ...]]:
    pod = health.pod
    out_of_sync, usage = str(pod.out_of_sync), _age(health.usage_seconds)
    first = (pod.name, pod.zone, pod.record.state)
    result = '-' if pod.in_maintenance else health.level.name.lower()
    if not health.probes:
        return [(*first, '-', '-', '-', '-', '-', out_of_sync, usage, result)]
    lines: list[tuple[str, ...]] = []
    for index, probe in enumerate(health.probes):
        start, end = (first, (out_of_sync, usage, result)) if index == 0 else (('', '', ''), ('', '', ''))
        lines.append((*start, probe.service, *_cells(probe), *end))
    return lines


def _cells(probe: Probe) -> tuple[str, str, str, str]:
    return (
        range_text(probe.versions) if any(probe.versions) else f'({range_text(probe.known_versions)})',
        '-' if probe.seconds is None else f'{probe.seconds * 1000:.0f} ms',
        'open' if probe.trips_breaker else 'closed',
        '-' if probe.skew is None else f'{probe.skew:+.1f} s',
    )


def _age(seconds: float | None) -> str:
    return '-' if seconds is None else f'{seconds:.0f} s'
