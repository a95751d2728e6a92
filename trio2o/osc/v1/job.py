# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o job``: work that outlives a request."""

from __future__ import annotations

import argparse
from typing import Any

from trio2o.osc.v1.base import Column, Lister, ShowOne, Trio2oCommand, add_paging, each, fields, paging, rows
from trio2o.osc.v1.waiting import add_waiting, wait_for_job

COLUMNS = (
    Column('ID', 'id'),
    Column('Type', 'type'),
    Column('Resource', 'resource_name'),
    Column('State', 'state'),
    Column('Attempts', 'attempts'),
    Column('Created At', 'created_at'),
    Column('Finished At', 'finished_at'),
    Column('Error', 'error'),
)
MORE = (
    Column('Run After', 'run_after'),
    Column('Worker', 'lease_owner'),
    Column('Progress', 'progress'),
    Column('Request ID', 'request_id'),
)
STATES = ('new', 'running', 'success', 'fail', 'cancelled')


def add_job(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('job', metavar='<job>', help='The job (ID)')


class ListJob(Lister):
    """List jobs, the newest first."""

    examples = (
        ('jobs that failed', 'openstack trio2o job list --state fail'),
        ('the last ten jobs of Pod1', 'openstack trio2o job list --pod Pod1 --limit 10'),
        (
            'jobs that one request created',
            'openstack trio2o job list --request req-0d0a5a4e-5d0d-4b3e-9d57-40a1c1a6b3a2',
        ),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--state', choices=STATES, help='Only in this state')
        parser.add_argument('--type', metavar='<type>', help='Only of this type: sync_pod, reconcile_routings ...')
        of = parser.add_mutually_exclusive_group()
        of.add_argument('--pod', metavar='<pod>', help='Only jobs of this pod (name or ID)')
        of.add_argument('--resource', metavar='<key>', help='Only jobs of the resource with this key')
        parser.add_argument('--request', metavar='<request-id>', help='Only jobs that this request created')
        parser.add_argument('--long', action='store_true', help='More columns')
        add_paging(parser, 'type,created_at:desc')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        names = self.pod_names()
        query = {
            'state': parsed_args.state,
            'type': parsed_args.type,
            'resource_key': self.pod_id(parsed_args.pod) or parsed_args.resource,
            'request_id': parsed_args.request,
        }
        found = self.client.jobs(**query, **paging(parsed_args))
        items = ({**job.document, 'resource_name': names.get(job.resource, job.resource)} for job in found)
        return rows((*COLUMNS, *MORE) if parsed_args.long else COLUMNS, items)


class ShowJob(ShowOne):
    """Show a job: its progress, its error, and every attempt."""

    examples = (
        ('a job and its history', 'openstack trio2o job show 2f0c2f26-9d3f-4c6c-9b2c-8e1a54c0d7e1'),
        ('only its error', 'openstack trio2o job show 2f0c2f26-9d3f-4c6c-9b2c-8e1a54c0d7e1 -f value -c error'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_job(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return fields(self.client.get_job(parsed_args.job).document)


class RedoJob(ShowOne):
    """Run an ended job once more; a job that waits for its next attempt runs now."""

    examples = (
        (
            'run a job once more and wait for it',
            'openstack trio2o job redo --wait 2f0c2f26-9d3f-4c6c-9b2c-8e1a54c0d7e1',
        ),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_job(parser)
        add_waiting(parser, 'it has ended')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        job = self.client.redo_job(parsed_args.job)
        if parsed_args.wait:
            job = wait_for_job(self.client, job, self.say, parsed_args.timeout)
        return fields(job.document)


class CancelJob(Trio2oCommand):
    """Cancel jobs; a running job stops at its next step."""

    examples = (('a job', 'openstack trio2o job cancel 2f0c2f26-9d3f-4c6c-9b2c-8e1a54c0d7e1'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('jobs', metavar='<job>', nargs='+', help='Jobs to cancel (ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        each(parsed_args.jobs, self.client.cancel_job)
