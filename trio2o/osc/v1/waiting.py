# SPDX-License-Identifier: Apache-2.0
"""Waiting for a job, and telling how far it is meanwhile."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from osc_lib import exceptions

from trio2o.osc.client import Client, quoted
from trio2o.osc.v1.base import a_number
from trio2o.osc.v1.report import counts

Json = dict[str, Any]

PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 3600
#: Of a job's progress, besides numbers; the rest is for the job itself.
TOLD = ('step', 'kind')
ENDED = ('success', 'fail', 'cancelled')


def add_waiting(parser: argparse.ArgumentParser, what: str) -> None:
    """``--wait`` and ``--timeout``.

    :param what: for the help: what is waited for
    """
    parser.add_argument('--wait', action='store_true', help=f'Wait until {what}, and show how far it is')
    parser.add_argument(
        '--timeout',
        metavar='<seconds>',
        type=a_number,
        default=TIMEOUT_SECONDS,
        help=f'Give up waiting after so many seconds; the job goes on (default: {TIMEOUT_SECONDS})',
    )


def wait_for_job(client: Client, job: Json, say: Callable[[str], None], seconds: float) -> Json:
    """Follow a job to its end.

    :returns: the job as it ended, with its result
    :raises CommandError: it failed, was cancelled or takes too long
    """
    deadline = time.monotonic() + seconds
    told = ''
    while True:
        job = client.get(f'/jobs/{quoted(job["id"])}')['job']
        line = status_line(job)
        if line != told:
            say(line)
            told = line
        if job['state'] in ENDED:
            break
        if time.monotonic() > deadline:
            raise exceptions.CommandError(
                f'Job {job["id"]} is still {job["state"]} after {seconds:g} seconds and goes on. '
                f"Look at it with 'openstack trio2o job show {job['id']}'."
            )
        time.sleep(PAUSE_SECONDS)
    if job['state'] != 'success':
        raise exceptions.CommandError(
            f'Job {job["id"]} ended as {job["state"]}: {job.get("error") or "no reason given"}. '
            f"When that is mended: 'openstack trio2o job redo {job['id']}'."
        )
    return job


def status_line(job: Json) -> str:
    """A job in one line: what it is, how far, and why it waits."""
    parts = [f'job {job["id"]} ({job["type"]}): {job["state"]}']
    progress = job.get('progress')
    if isinstance(progress, dict):
        parts += [f'{name} {value}' for name, value in progress.items() if name in TOLD or isinstance(value, int)]
        parts += counts(progress.get('report'))
    elif progress:
        parts.append(str(progress))
    if job['state'] == 'new' and job.get('error'):
        parts.append(f'try {job["attempts"]} failed: {job["error"]}')
    return ', '.join(parts)
