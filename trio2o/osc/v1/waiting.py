# SPDX-License-Identifier: Apache-2.0
"""Waiting for a job, a pod or a move, and showing the progress meanwhile."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import tenacity
from osc_lib import exceptions

from trio2o.osc.v1.base import a_number
from trio2o.osc.v1.report import counts

if TYPE_CHECKING:
    from trio2o.sdk.proxy import Proxy
    from trio2o.sdk.resources import Job

Json = dict[str, Any]
T = TypeVar('T')


class Steered(Protocol):
    """A move, or a group of moves."""

    id: Any
    status: Any

    @property
    def has_ended(self) -> bool: ...

    @property
    def waits_for_somebody(self) -> bool: ...


SteeredT = TypeVar('SteeredT', bound=Steered)

PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 3600
#: Keys of a job's progress that are shown besides the numbers; the other keys are for the job itself.
SHOWN = ('step', 'kind')


def add_waiting(parser: argparse.ArgumentParser, condition: str, work: str = 'the job') -> None:
    """Add ``--wait`` and ``--timeout``.

    :param condition: for the help: when the waiting ends
    :param work: for the help: what goes on when the command stops waiting
    """
    parser.add_argument('--wait', action='store_true', help=f'Wait until {condition}, and show the progress')
    add_timeout(parser, work)


def add_timeout(parser: argparse.ArgumentParser, work: str) -> None:
    parser.add_argument(
        '--timeout',
        metavar='<seconds>',
        type=a_number,
        default=TIMEOUT_SECONDS,
        help=f'Stop waiting after so many seconds; {work} goes on (default: {TIMEOUT_SECONDS})',
    )


def watch(
    read: Callable[[], T],
    is_done: Callable[[T], bool],
    line: Callable[[T], str],
    say: Callable[[str], None],
    seconds: float,
) -> T:
    """Read a state again and again until it is final or time is up, and show each change.

    :param line: describes a state
    :param say: shows a description
    :returns: the last state; one that is not final if time is up
    """
    shown = ''

    def look() -> T:
        nonlocal shown
        state = read()
        text = line(state)
        if text != shown:
            say(text)
            shown = text
        return state

    return tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda state: not is_done(state)),
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_fixed(PAUSE_SECONDS),
        retry_error_callback=lambda attempt: attempt.outcome.result() if attempt.outcome else None,
    )(look)


def watch_steered(
    read: Callable[[], SteeredT],
    line: Callable[[SteeredT], str],
    next_commands: Callable[[SteeredT], str],
    say: Callable[[str], None],
    seconds: float,
    noun: str,
) -> SteeredT:
    """Show the progress of a move, or of a group of moves, until it ends or waits for somebody.

    :param next_commands: says what can be done about one that waits for somebody
    :param noun: ``move`` or ``move group``, as its commands have it
    :raises CommandError: time is up
    """
    found = watch(read, lambda each: each.has_ended or each.waits_for_somebody, line, say, seconds)
    if found.waits_for_somebody:
        say(next_commands(found))
    elif not found.has_ended:
        raise exceptions.CommandError(
            f'{noun.capitalize()} {found.id} is still {found.status} after {seconds:g} seconds and goes on. '
            f"See 'openstack trio2o {noun} show --watch {found.id}'."
        )
    return found


def wait_for_job(client: Proxy, job: Job, say: Callable[[str], None], seconds: float) -> Job:
    """Wait for the end of a job.

    :returns: the ended job, with its result
    :raises CommandError: it failed, was cancelled or takes too long
    """
    job = watch(
        lambda: client.get_job(job.id),
        lambda job: job.has_ended,
        lambda job: status_line(job.document),
        say,
        seconds,
    )
    if not job.has_ended:
        raise exceptions.CommandError(
            f'Job {job.id} is still {job.state} after {seconds:g} seconds and goes on. '
            f"See 'openstack trio2o job show {job.id}'."
        )
    if job.state != 'success':
        raise exceptions.CommandError(
            f'Job {job.id} ended as {job.state}: {job.error or "no reason given"}. '
            f"When the cause is repaired: 'openstack trio2o job redo {job.id}'."
        )
    return job


def status_line(job: Json) -> str:
    """Describe a job in one line: its type, its progress, and why it waits."""
    parts = [f'job {job["id"]} ({job["type"]}): {job["state"]}']
    progress = job.get('progress')
    if isinstance(progress, dict):
        parts += [f'{name} {value}' for name, value in progress.items() if name in SHOWN or isinstance(value, int)]
        parts += counts(progress.get('report'))
    elif progress:
        parts.append(str(progress))
    if job['state'] == 'new' and job.get('error'):
        parts.append(f'attempt {job["attempts"]} failed: {job["error"]}')
    return ', '.join(parts)
