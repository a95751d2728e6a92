# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o project``: resources left behind by deleted projects."""

from __future__ import annotations

import argparse
from typing import Any

from trio2o.osc.v1 import report
from trio2o.osc.v1.base import ShowOne, fields
from trio2o.osc.v1.waiting import add_waiting, wait_for_job


class EmptyProject(ShowOne):
    """Delete the resources of a deleted project in all pods. A job does it.

    The project must be deleted in Keystone first: while it exists, the command is refused.
    """

    examples = (
        (
            'report what would be deleted',
            'openstack trio2o project empty --dry-run 3f1c0d6a9b7e4d5c8a2b1e0f9d8c7b6a',
        ),
        ('delete, and wait for it', 'openstack trio2o project empty --wait 3f1c0d6a9b7e4d5c8a2b1e0f9d8c7b6a'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument('project', metavar='<project-id>', help='ID of the deleted project')
        parser.add_argument('--dry-run', action='store_true', help='Only report what would be deleted; implies --wait')
        add_waiting(parser, 'it is done')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        job = self.client.empty_project(parsed_args.project, dry_run=parsed_args.dry_run)
        if not (parsed_args.wait or parsed_args.dry_run):
            return fields(job.document)
        job = wait_for_job(self.client, job, self.say, parsed_args.timeout)
        return report.shown({'job_id': job.id, **(job.result or {})})
