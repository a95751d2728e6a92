# SPDX-License-Identifier: Apache-2.0
"""Pure functions that make the values for the templates from answers of the Admin API and health checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trio2o.pods.health_check import PodHealth, Probe, range_text

Json = dict[str, Any]

#: From how much of its capacity in use a bar shows that it is nearly full, or full.
_NEARLY, _FULL = 80.0, 95.0

#: Resource -> how it is named, and what its numbers are divided by and then followed by.
_RESOURCES = {
    'VCPU': ('vCPUs', 1, ''),
    'MEMORY_MB': ('Memory', 1024, ' GiB'),
    'DISK_GB': ('Disk', 1, ' GiB'),
    'gigabytes': ('Volumes', 1, ' GiB'),
}


@dataclass(frozen=True)
class Bar:
    """How much of one resource of a pod is used.

    :ivar percent: of the capacity that is used, up to 100
    :ivar level: ``ok``, ``warning`` or ``critical``
    """

    label: str
    text: str
    percent: float
    level: str


@dataclass(frozen=True)
class Card:
    """One pod.

    :ivar level: ``ok``, ``warning``, ``critical``; ``off`` in maintenance; ``unknown`` if the pod was not checked
    :ivar services: name, versions, latency, whether it answers
    """

    id: str
    name: str
    state: str
    state_reason: str
    level: str
    services: tuple[tuple[str, str, str, bool], ...]
    bars: tuple[Bar, ...]
    out_of_sync: int
    bindings: int
    reasons: tuple[str, ...]

    @property
    def verdict(self) -> str:
        return {'ok': 'well', 'off': 'in maintenance', 'unknown': 'unknown'}.get(self.level, self.level)


@dataclass(frozen=True)
class Zone:
    name: str
    cards: tuple[Card, ...]


def zones(
    pods: Iterable[Json], usages: Iterable[Json], bindings: Iterable[Json], health: Mapping[str, PodHealth]
) -> list[Zone]:
    """The map: zones by name, in each its pods by name. The top region is no pod."""
    bound = Counter(binding['pod_id'] for binding in bindings)
    used: dict[str, list[Json]] = {}
    for usage in usages:
        used.setdefault(usage['pod_id'], []).append(usage)
    cards: dict[str, list[Card]] = {}
    for pod in sorted(pods, key=lambda pod: str(pod['pod_name'])):
        if pod['az_name']:
            found = health.get(pod['pod_id'])
            cards.setdefault(pod['az_name'], []).append(
                card(pod, used.get(pod['pod_id'], []), bound[pod['pod_id']], found)
            )
    return [Zone(name, tuple(cards[name])) for name in sorted(cards)]


def card(pod: Json, usages: Iterable[Json], bindings: int, health: PodHealth | None) -> Card:
    return Card(
        id=pod['pod_id'],
        name=pod['pod_name'],
        state=pod['state'],
        state_reason=pod['state_reason'],
        level=_level(pod, health),
        services=tuple(_service(probe) for probe in health.probes) if health else (),
        bars=bars(usages),
        out_of_sync=health.pod.out_of_sync if health else 0,
        bindings=bindings,
        reasons=tuple(text for _level, text in health.reasons) if health else (),
    )


def _level(pod: Json, health: PodHealth | None) -> str:
    if pod['state'] == 'maintenance':
        return 'off'
    return health.level.name.lower() if health is not None else 'unknown'


def _service(probe: Probe) -> tuple[str, str, str, bool]:
    versions = range_text(probe.versions if any(probe.versions) else probe.known_versions)
    latency = f'{probe.seconds * 1000:.0f} ms' if probe.seconds is not None else 'no answer'
    return probe.service, versions, latency, not probe.error


def bars(usages: Iterable[Json]) -> tuple[Bar, ...]:
    """A bar for each resource, those everybody knows first."""
    resources = {name: resource for usage in usages for name, resource in usage['resources'].items()}
    names = [*(name for name in _RESOURCES if name in resources), *sorted(resources.keys() - _RESOURCES.keys())]
    return tuple(_bar(name, resources[name]) for name in names)


def _bar(name: str, resource: Json) -> Bar:
    capacity, used = resource['capacity'], resource['used']
    label, divisor, unit = _RESOURCES.get(name, (name, 1, ''))
    if capacity is None:
        return Bar(label, f'{_number(used / divisor)}{unit} used, no limit', 0.0, 'ok')
    percent = min(100.0, max(0.0, 100.0 * used / capacity)) if capacity > 0 else 100.0
    level = 'critical' if percent >= _FULL else 'warning' if percent >= _NEARLY else 'ok'
    text = f'{_number(used / divisor)} of {_number(capacity / divisor)}{unit}'
    return Bar(label, text, round(percent, 1), level)


def _number(value: float) -> str:
    return f'{value:,.0f}' if abs(value) >= 10 or value == int(value) else f'{value:.1f}'


def counts(found: Sequence[Zone]) -> dict[str, int]:
    """Count the pods of each level, also those that no pod has."""
    levels = Counter(card.level for zone in found for card in zone.cards)
    return {level: levels[level] for level in ('ok', 'warning', 'critical', 'off', 'unknown')}


def time_text(value: Any) -> str:
    """A time of the API's as people read it."""
    return str(value)[:19].replace('T', ' ') if value else ''


def move_level(status: str) -> str:
    """The level of a move, or of a group of moves."""
    levels = {
        'stuck': 'critical',
        'paused': 'warning',
        'confirmed': 'ok',
        'completed': 'ok',
        'reverted': 'off',
        'cancelled': 'off',
        'abandoned': 'warning',
    }
    return levels.get(status, 'unknown')


def member_level(state: str) -> str:
    """The level of a member of a group of moves."""
    levels = {'moved': 'ok', 'refused': 'warning', 'failed': 'critical', 'undone': 'off', 'gone': 'off'}
    return levels.get(state, 'unknown')


def counted(counts: Json) -> str:
    """The counts of members by state in words: ``12 moved, 4 moving``."""
    return ', '.join(f'{count} {state}' for state, count in counts.items() if count) or 'no members'


def group_name(group: Json) -> str:
    """What a group of moves is, in words: ``drain of Pod2``."""
    of = {'drain': 'of ' + (group.get('source_pod') or ''), 'rebalance': 'of ' + (group['zone'] or '')}
    return ' '.join(filter(None, (group['kind'], of.get(group['kind'], ''), group['name'] or '')))


def job_level(state: str) -> str:
    return {'fail': 'critical', 'success': 'ok', 'cancelled': 'off'}.get(state, 'unknown')
