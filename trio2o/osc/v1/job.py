# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o job``: the work that outlives a request."""

from __future__ import annotations

import argparse
from typing import Any

from trio2o.osc.client import quoted
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
        ('what failed', 'openstack trio2o job list --state fail'),
        ('what was done for Pod1', 'openstack trio2o job list --pod Pod1 --limit 10'),
        ('what one request led to', 'openstack trio2o job list --request req-0d0a5a4e-5d0d-4b3e-9d57-40a1c1a6b3a2'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('--state', choices=STATES, help='Only in this state')
        parser.add_argument('--type', metavar='<type>', help='Only of this type: sync_pod, reconcile_routings ...')
        of = parser.add_mutually_exclusive_group()
        of.add_argument('--pod', metavar='<pod>', help='Only those on this pod (name or ID)')
        of.add_argument('--resource', metavar='<key>', help='Only those on what has this key')
        parser.add_argument('--request', metavar='<request-id>', help='Only those this request led to')
        parser.add_argument('--long', action='store_true', help='More columns')
        add_paging(parser, 'type,created_at:desc')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        names = self.client.pod_names()
        query = {
            'state': parsed_args.state,
            'type': parsed_args.type,
            'resource_key': self.client.pod(parsed_args.pod)['pod_id'] if parsed_args.pod else parsed_args.resource,
            'request_id': parsed_args.request,
        }
        found = self.client.list('/jobs', 'jobs', **query, **paging(parsed_args))
        items = ({**job, 'resource_name': names.get(job['resource_key'], job['resource_key'])} for job in found)
        return rows((*COLUMNS, *MORE) if parsed_args.long else COLUMNS, items)


class ShowJob(ShowOne):
    """Show a job: how far it is, what it met, and every try."""

    examples = (
        ('a job and its history', 'openstack trio2o job show 2f0c2f26-9d3f-4c6c-9b2c-8e1a54c0d7e1'),
        ('only its error', 'openstack trio2o job show 2f0c2f26-9d3f-4c6c-9b2c-8e1a54c0d7e1 -f value -c error'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_job(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return fields(self.client.get(f'/jobs/{quoted(parsed_args.job)}')['job'])


class RedoJob(ShowOne):
    """Run a job that has ended once more; one that waits runs now."""

    examples = (('once more, until it ends', 'openstack trio2o job redo --wait 2f0c2f26-9d3f-4c6c-9b2c-8e1a54c0d7e1'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        add_job(parser)
        add_waiting(parser, 'it has ended')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        job = self.client.post(f'/jobs/{quoted(parsed_args.job)}/redo')['job']
        if parsed_args.wait:
            job = wait_for_job(self.client, job, self.say, parsed_args.timeout)
        return fields(job)


class CancelJob(Trio2oCommand):
    """Cancel jobs; one that runs stops at its next step."""

    examples = (('a job', 'openstack trio2o job cancel 2f0c2f26-9d3f-4c6c-9b2c-8e1a54c0d7e1'),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('jobs', metavar='<job>', nargs='+', help='Jobs to cancel (ID)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        each(parsed_args.jobs, lambda job: self.client.post(f'/jobs/{quoted(job)}/cancel'))
