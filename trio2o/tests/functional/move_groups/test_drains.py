# SPDX-License-Identifier: Apache-2.0
"""Drains: all servers and detached volumes of a pod are moved."""

import datetime

from trio2o.db import move_groups, moves
from trio2o.db.database import utcnow
from trio2o.lab.emulated.faults import Refuse
from trio2o.moves.groups.conductor import Conductor
from trio2o.tests.functional.move_groups.base import GroupsCase


class DrainCase(GroupsCase):
    def drain(self, **given):
        return self.begin(kind='drain', source_pod='Pod1', **{'zone': 'az2', 'canary': 0, **given})

    def delete_pod(self):
        """Delete the pod that is drained. :returns: status and text of the answer"""
        answer = self.cloud.api.delete(f'/pods/{self.cloud.pod_ids["Pod1"]}')
        return answer.status, answer.text


class TestDrains(DrainCase):
    def test_pod_is_emptied_and_deleted(self):
        servers = [self.server(name=f's{number}') for number in range(3)]
        attached, detached = self.volume(), [self.volume() for _ in range(2)]
        servers.append(self.server(volumes=[attached]))
        group = self.drain(parallel=2)
        self.assertEqual('draining', self.cloud.api.get(f'/pods/{self.cloud.pod_ids["Pod1"]}')['pod']['state'])
        shown = self.completed(group)
        self.assertEqual(7, shown['counts']['moved'])
        self.assertEqual({'Pod2'}, {self.place('server', each)[0] for each in servers})
        self.assertEqual({'Pod2'}, {self.place('volume', each)[0] for each in (attached, *detached)})
        self.assertEqual({*servers, attached, *detached}, set(self.members(group)))
        self.assertEqual((200, '{}'), self.delete_pod())
        self.assertEqual({'ACTIVE'}, {self.show(each)['status'] for each in servers})

    def test_member_with_a_blocker_stays_with_a_reason(self):
        volume = self.volume()
        snapshot = self.cloud.cinder.post('/snapshots', {'snapshot': {'volume_id': volume}})['snapshot']['id']
        stays, moves_ = self.server(volumes=[volume]), self.server()
        group = self.drain()
        shown = self.completed(group)
        self.assertEqual((1, 2), (shown['counts']['moved'], shown['counts']['refused']))
        members = self.members(group)
        self.assertEqual({moves_: 'moved', stays: 'refused', volume: 'refused'}, self.states(group))
        self.assertIn('has snapshots', members[stays]['reason'])
        self.assertIn(stays, members[volume]['reason'])
        self.assertEqual(409, self.delete_pod()[0])
        self.cloud.cinder.delete(f'/snapshots/{snapshot}')
        self.assertEqual(404, self.cloud.cinder.get(f'/snapshots/{snapshot}').status)
        self.completed(self.drain())
        self.assertEqual((200, '{}'), self.delete_pod())

    def test_canary_and_waves_wait_for_confirmation(self):
        servers = [self.server(name=f's{number}') for number in range(4)]
        group = self.drain(canary=1, wave=2, parallel=4, confirm_seconds=3600)
        begun = []
        for wanted in ([1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]):
            number = sum(wanted)
            self.run_group(group, until=lambda shown, number=number: self.began(shown) == number)
            self.run_group(group, until=lambda shown: not shown['counts']['moving'] and shown['reason'])
            begun.append([int(self.members(group)[each]['tries'] > 0) for each in servers])
            self.assertIn('confirm', self.group(group)['reason'])
            self.steer(group, 'confirm')
        self.assertEqual([[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]], begun)
        self.completed(group)

    def began(self, shown):
        counts = shown['counts']
        return sum(counts.values()) - counts['waiting']

    def test_percentage_only_grows(self):
        self.server(volumes=[self.volume()])
        self.volume()
        self.let_build('Pod2', False)
        group = self.drain(parallel=1)
        seen = [0]

        def look():
            shown = self.group(group)
            seen.append(shown['percent'])
            if shown['counts']['undoing']:
                self.let_build('Pod2', True)

        self.completed(group, look=look)
        self.assertEqual(sorted(seen), seen)
        self.assertGreater(len(set(seen)), 2)

    def test_dry_run_says_what_would_move_and_what_stays(self):
        volume, detached = self.volume(), self.volume()
        self.cloud.cinder.post('/snapshots', {'snapshot': {'volume_id': detached}})
        server = self.server(volumes=[volume])
        plan = self.create(200, kind='drain', source_pod='Pod1', zone='az2', dry_run=True)['plan']
        self.assertEqual([server, detached], [each['resource_id'] for each in plan['members']])
        self.assertEqual({'movable': 1, 'refused': 1, 'total': 3}, plan['counts'])
        self.assertEqual(['snapshots'], [each['code'] for each in plan['members'][1]['findings']])
        self.assertEqual('enabled', self.cloud.api.get(f'/pods/{self.cloud.pod_ids["Pod1"]}')['pod']['state'])

    def test_pod_has_one_drain_at_a_time(self):
        self.server()
        group = self.drain()
        answer = self.create(409, kind='drain', source_pod='Pod1', zone='az2')
        self.assertIn(group, answer.text)
        self.completed(group)
        self.drain()

    def test_target_pods_are_chosen_among(self):
        servers = [self.server() for _ in range(2)]
        group = self.begin(kind='drain', source_pod='Pod1', target_pods=['Pod3'], canary=0)
        self.completed(group)
        self.assertEqual({'Pod3'}, {self.place('server', each)[0] for each in servers})

    def test_empty_pod_is_drained_at_once(self):
        shown = self.completed(self.drain())
        self.assertEqual((0, 100), (sum(shown['counts'].values()), shown['percent']))


class TestOtherMoves(DrainCase):
    def test_member_that_another_move_takes_is_waited_for(self):
        servers = [self.server() for _ in range(3)]
        ids = [self.start('server', each, pod) for each, pod in zip(servers, ('Pod2', 'Pod3', 'Pod2'), strict=False)]
        for move_id in ids:
            moves.pause(self.db, move_id)
        group = self.drain()
        self.run_group(
            group, until=lambda _shown: len([each for each in self.members(group).values() if each['reason']]) == 3
        )
        self.assertEqual({'waiting'}, set(self.states(group).values()))
        self.assertIn(ids[0], self.members(group)[servers[0]]['reason'])
        for move_id in ids[:2]:
            moves.resume(self.db, move_id)
            self.assertEqual('confirmed', self.run_move(move_id).status)
        moves.cancel(self.db, ids[2])
        self.assertEqual('reverted', self.run_move(ids[2]).status)
        self.assertEqual(3, self.completed(group)['counts']['moved'])
        # The one that left for another pod than the drain's stays there.
        self.assertEqual(['Pod2', 'Pod3', 'Pod2'], [self.place('server', each)[0] for each in servers])
        self.assertEqual(4, self.count_moves())


class TestLimits(DrainCase):
    def most_at_once(self, group):
        """Run a group. :returns: the largest number of moves under way at a time"""
        most = 0

        def look():
            nonlocal most
            most = max(most, len(moves.under_way(self.db)))

        self.completed(group, look=look)
        return most

    def test_moves_run_in_parallel(self):
        for _ in range(5):
            self.server()
        self.assertEqual(3, self.most_at_once(self.drain(parallel=3)))

    def test_project_has_a_limit(self):
        self.cloud.conf.set_override('max_per_project', 2, 'moves')
        for _ in range(4):
            self.server()
        self.assertEqual(2, self.most_at_once(self.drain(parallel=4)))

    def test_pod_has_a_limit(self):
        self.cloud.conf.set_override('max_per_pod', 1, 'moves')
        for _ in range(3):
            self.server()
        self.assertEqual(1, self.most_at_once(self.drain(parallel=4)))

    def test_groups_that_are_carried_out_at_once_share_the_limits(self):
        self.cloud.conf.set_override('max_per_project', 2, 'moves')
        first, second = (
            self.begin(kind='drain', source_pod=pod, target_pods=['Pod3'], canary=0, parallel=4)
            for pod in ('Pod1', 'Pod2')
            if [self.server(zone=f'az{pod[-1]}') for _ in range(3)]
        )
        runtime = self.cloud.runtime

        def begin_other():
            # The first group has read how many moves are under way, and has begun one.
            if self.count_moves() == 1:
                Conductor(runtime, second).advance()

        Conductor(runtime, first, begin_other).advance()
        self.assertEqual(2, len(moves.under_way(self.db)))
        self.assertEqual({first, second}, {move.group_id for move in moves.list_(self.db)})
        for group in (first, second):
            self.completed(group)

    def test_copies_begin_at_a_rate(self):
        servers = [self.server() for _ in range(2)]
        size = self.plan('server', servers[0]).bytes
        group = self.drain(parallel=2, bytes_per_second=max(1, size // 3600))
        shown = self.run_group(group, until=lambda shown: shown['counts']['moved'] == 1 and shown['reason'])
        self.assertEqual(1, shown['counts']['waiting'])
        self.assertIn('bytes_per_second', shown['reason'])
        at = move_groups.get(self.db, group).next_start_at
        self.assertAlmostEqual(3600, (at - utcnow()).total_seconds(), delta=120)
        move_groups.update(self.db, group, next_start_at=utcnow())
        self.completed(group)

    def test_moves_begin_within_the_window(self):
        self.server()
        now = utcnow()
        begin, end = (now + datetime.timedelta(hours=hours) for hours in (2, 3))
        group = self.drain(window=f'{begin:%H:%M}-{end:%H:%M}')
        shown = self.run_group(group, until=lambda shown: shown['reason'])
        self.assertIn('No move begins outside', shown['reason'])
        self.assertEqual(0, self.count_moves())
        self.steer(group, 'cancel')
        self.assertEqual('cancelled', self.run_group(group)['status'])


class TestFailures(DrainCase):
    def test_group_is_paused_when_too_many_fail(self):
        servers = [self.server(name=f's{number}') for number in range(4)]
        self.let_build('Pod2', False)
        group = self.drain(max_failures=1, parallel=1)
        shown = self.run_group(group)
        self.assertEqual('paused', shown['status'])
        self.assertEqual(2, shown['counts']['failed'])
        self.assertIn('2 members have failed; at most 1 may', shown['reason'])
        failed = [member for member in self.members(group).values() if member['state'] == 'failed']
        self.assertEqual({2}, {member['tries'] for member in failed})
        self.assertIn('No valid host', failed[0]['reason'])
        self.assertEqual({'ACTIVE'}, {self.show(each)['status'] for each in servers})
        self.let_build('Pod2', True)
        self.steer(group, 'resume')
        self.assertEqual(4, self.completed(group)['counts']['moved'])

    def test_failed_move_is_tried_once_more(self):
        server = self.server()
        self.let_build('Pod2', False)
        group = self.drain()
        self.run_group(group, until=lambda shown: shown['counts']['undoing'])
        self.let_build('Pod2', True)
        self.assertEqual(1, self.completed(group)['counts']['moved'])
        self.assertEqual(2, self.members(group)[server]['tries'])

    def test_pod_that_cannot_be_asked_is_waited_for(self):
        server = self.server()
        self.cloud.pod('Pod2').nova.faults.add(Refuse())
        group = self.drain()
        shown = self.run_group(group, until=lambda shown: self.states(group) and shown['reason'])
        self.assertEqual('waiting', self.states(group)[server])
        self.assertIn('tried again', shown['reason'])
        self.cloud.pod('Pod2').nova.faults.clear()
        move_groups.set_waiting(self.db, group, not_before=utcnow())
        self.completed(group)

    def test_member_whose_move_is_cancelled_is_not_moved_later(self):
        servers = [self.server() for _ in range(2)]
        group = self.drain(parallel=1)
        self.run_group(group, until=lambda shown: shown['counts']['moving'])
        (move,) = moves.list_(self.db)
        self.assertEqual(202, self.cloud.api.post(f'/moves/{move.id}/cancel').status)
        self.completed(group)
        states = self.states(group)
        self.assertEqual('undone', states.pop(move.resource_id))
        self.assertEqual(['moved'], list(states.values()))
        self.assertEqual(['Pod1', 'Pod2'], sorted(self.place('server', each)[0] for each in servers))

    def test_stuck_move_after_its_switch_is_shown(self):
        server = self.server()
        group = self.drain(confirm_seconds=3600)
        self.run_group(group, until=lambda shown: shown['counts']['switched'])
        (move,) = moves.list_(self.db)
        moves.stuck(self.db, move, 'why not')
        self.run_group(group, until=lambda _shown: self.members(group)[server]['reason'])
        self.assertIn('why not', self.members(group)[server]['reason'])
        moves.resume(self.db, move.id)
        self.steer(group, 'confirm')
        self.completed(group)

    def test_new_resources_of_a_pod_are_found(self):
        """A server that was created while the pod was being closed is moved, too."""
        first = self.server()
        group = self.drain()
        self.run_group(group, until=lambda shown: shown['counts']['moving'])
        self.cloud.set_pod('Pod1', state='enabled')
        second = self.server()
        self.cloud.set_pod('Pod1', state='draining')
        self.completed(group)
        self.assertEqual({first, second}, set(self.members(group)))
