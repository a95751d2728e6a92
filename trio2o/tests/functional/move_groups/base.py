# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of this folder: groups that jobs carry out."""

from trio2o.db import move_groups, moves
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.moves.base import MovesCase
from trio2o.xjob.manager import JobManager

#: Seconds in which a group of a few members ends, even on a busy host.
_SECONDS = 120


class GroupsCase(MovesCase):
    pods = 3

    def create(self, status=202, as_='admin', **given):
        answer = self.cloud.api.post('/move-groups', {'move_group': given}, as_=as_)
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def begin(self, **given):
        """Begin a group. :returns: its id"""
        return self.create(**given)['move_group']['id']

    def application(self, *servers, zone='az2', **given):
        return self.begin(
            kind='application', members=[{'type': 'server', 'id': each} for each in servers], zone=zone, **given
        )

    def group(self, group_id, as_='admin'):
        return self.cloud.api.get(f'/move-groups/{group_id}', as_=as_)['move_group']

    def members(self, group_id, **query):
        """Return the states of the members by their ids."""
        return {
            each['resource_id']: each
            for each in self.cloud.api.get(f'/move-groups/{group_id}/members', query=query)['members']
        }

    def states(self, group_id):
        return {resource_id: member['state'] for resource_id, member in self.members(group_id).items()}

    def steer(self, group_id, verb, status=202, as_='admin'):
        answer = self.cloud.api.post(f'/move-groups/{group_id}/{verb}', as_=as_)
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def run_group(self, group_id, until=None, look=lambda: None):
        """Run jobs until a group ends, is paused, or something is true of it.

        :param until: takes the group as the Admin API shows it
        :param look: called after each job
        :returns: the group
        """
        manager = JobManager(self.cloud.conf, self.cloud.runtime)

        def ended():
            manager.run_one()
            self.cloud.runtime.registry.refresh()
            look()
            group = self.group(group_id)
            is_reached = until(group) if until is not None else group['status'] == 'paused'
            return group if is_reached or group['ended_at'] is not None else None

        return wait_until(
            ended, _SECONDS, lambda: f'no end: {self.group(group_id)} {self.members(group_id)}', interval=0
        )

    def completed(self, group_id, **options):
        group = self.run_group(group_id, **options)
        self.assertEqual('completed', group['status'], (group, self.members(group_id)))
        return group

    def let_build(self, pod, is_possible):
        """Let a pod have hosts for new servers, or none."""
        nova = self.cloud.pod(pod).nova
        nova.disabled = {} if is_possible else dict.fromkeys(nova.hosts, 'full')

    def count_moves(self):
        return len(moves.list_(self.db))

    def record(self, group_id):
        return move_groups.get(self.db, group_id)
