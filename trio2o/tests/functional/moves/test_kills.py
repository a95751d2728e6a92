# SPDX-License-Identifier: Apache-2.0
"""A worker that is killed anywhere in a move: before and after each request that changes a pod, and each commit.

The points are counted in a move that nothing disturbs. Then each of as many moves is killed at its own point, and goes
on in another worker. They run in turns, as most of their time is waiting. In the same way moves are cancelled at any
point at which a pod is asked for something: what a step has just made then must not be forgotten.
"""

import contextlib
import functools

import sqlalchemy

from trio2o.db import moves
from trio2o.moves.engine import Engine
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.moves.base import MovesCase


class Killed(BaseException):
    """The process has ended."""


class Points:
    """Counts the points at which something may happen to a move, and lets it happen at one of them.

    :ivar act: what happens
    """

    def __init__(self, cloud, with_commits):
        self.count = 0
        self.at = None
        self.act = None
        self.is_active = False
        transport = cloud.transport
        send = transport.request

        def request(method, *args, **kwargs):
            if method == 'GET':
                return send(method, *args, **kwargs)
            self.passed()
            answer = send(method, *args, **kwargs)
            self.passed()
            return answer

        transport.request = request
        if with_commits:
            sqlalchemy.event.listen(cloud.runtime.db.engine, 'commit', lambda connection: self.passed())

    def passed(self):
        if self.is_active:
            self.count += 1
            if self.count == self.at:
                self.act()

    @contextlib.contextmanager
    def counted(self, count, at, act):
        """Go on counting for one move. Nothing more happens to it afterwards."""
        self.count, self.at, self.act, self.is_active = count, at, act, True
        try:
            yield
        finally:
            self.is_active = False


class KillsCase(MovesCase):
    with_commits = True

    def act(self, move_id):
        """Do to a move what happens at its point."""
        raise Killed

    def gateway(self, **options):
        settings = {'moves.settle_seconds': 0, 'pods.read_timeout': 1, 'moves.confirm_seconds': 3600}
        return super().gateway(**settings, **options)

    def setUp(self):
        super().setUp()
        self.points = Points(self.cloud, self.with_commits)

    def run_all(self, kills, is_reverted):
        """Run moves in turns.

        :param kills: move id -> the point at which something happens to it, or None
        :returns: the numbers of points that they passed
        """
        counts = dict.fromkeys(kills, 0)
        left, killed, asked = set(kills), set(), set()

        def turn():
            for move_id in sorted(left):
                move = moves.get(self.db, move_id)
                if move.state == 'switched' and move_id not in asked:
                    (moves.revert if is_reverted else moves.confirm)(self.db, move_id)
                    asked.add(move_id)
                at = kills[move_id] if move_id not in killed else None
                with self.points.counted(counts[move_id], at, functools.partial(self.act, move_id)):
                    try:
                        Engine(self.cloud.runtime, move_id).advance()
                    except Killed:
                        killed.add(move_id)
                    counts[move_id] = self.points.count
                move = moves.get(self.db, move_id)
                self.assertNotEqual('stuck', move.status, (kills[move_id], move.error))
                if not move.is_active:
                    left.discard(move_id)
            return not left

        wait_until(turn, 120, lambda: f'{[moves.get(self.db, each) for each in left][:2]} do not end', 0.02)
        return counts

    def everything(self):
        return {name: self.inventory(name) for name in ('Pod1', 'Pod2')}

    def check(self, make, kind, is_reverted=False, every=1):
        """Kill a move at each of its points.

        :param make: creates a resource and returns its id
        :param kind: its type
        :param every: one of so many points
        """
        first = make()
        (total,) = self.run_all({self.start(kind, first): None}, is_reverted).values()
        self.assertGreater(total, 20)
        points = range(1, total + 1, every)
        made = [make() for _ in points]
        disk = 'root' if kind == 'server' else 'volume'
        checksums = {each: self.disk(disk, each).checksum() for each in made}
        before = self.everything()
        self.run_all({self.start(kind, each): at for at, each in zip(points, made, strict=True)}, is_reverted)
        self.assertEqual(checksums, {each: self.disk(disk, each).checksum() for each in made})
        after = self.everything()
        if is_reverted:
            different = {(pod, kind): before[pod][kind] ^ after[pod][kind] for pod in before for kind in before[pod]}
            self.assertEqual({}, {where: ids for where, ids in different.items() if ids})
        else:
            places = [self.place(kind, each) for each in made]
            self.assertEqual({'Pod2'}, {pod for pod, _id in places})
            self.assertEqual(before['Pod1']['images'], after['Pod1']['images'])
            name = f'{kind}s'
            self.assertEqual(before['Pod1'][name] - set(made), after['Pod1'][name])
            self.assertEqual(before['Pod2'][name] | {each for _pod, each in places}, after['Pod2'][name])
            for kept in ('snapshots', 'keypairs'):
                self.assertEqual([before[pod][kept] for pod in before], [after[pod][kept] for pod in after])
        shown = {each['id'] for each in self.listed(kind)}
        self.assertEqual({first, *made}, shown)

    def listed(self, kind):
        client = self.cloud.nova if kind == 'server' else self.cloud.cinder
        self.cloud.runtime.registry.refresh()
        return client.get(f'/{kind}s')[f'{kind}s']


class TestKills(KillsCase):
    def test_volume_exists_once_after_a_kill_at_any_point(self):
        self.check(self.volume, 'volume')

    def test_volume_is_back_after_a_kill_at_any_point_of_a_revert(self):
        self.check(self.volume, 'volume', is_reverted=True)

    def test_server_exists_once_after_a_kill_at_any_point(self):
        self.check(self.server, 'server')

    def test_server_is_back_after_a_kill_at_any_point_of_a_revert(self):
        self.check(self.server, 'server', is_reverted=True)


class TestKillsOfSeveralServers(KillsCase):
    def setUp(self):
        super().setUp()
        self.others, start = {}, self.start
        self.start = lambda kind, first: start(kind, first, also=(self.others[first],))
        self.inventory = functools.partial(self.inventory_of_first, self.inventory)

    def make(self):
        shared = self.shared_volume()
        first = self.server(volumes=[shared])
        self.others[first] = self.server(volumes=[shared])
        return first

    def test_servers_exist_once_after_a_kill_at_many_points(self):
        self.check(self.make, 'server', every=7)
        self.assertEqual({'Pod2'}, {self.place('server', other)[0] for other in self.others.values()})

    def test_servers_are_back_after_a_kill_at_many_points_of_a_revert(self):
        self.check(self.make, 'server', is_reverted=True, every=9)
        self.assertEqual({'Pod1'}, {self.place('server', other)[0] for other in self.others.values()})
        self.assertEqual({'ACTIVE'}, {each['status'] for each in self.cloud.nova.get('/servers/detail')['servers']})

    def listed(self, kind):
        found = super().listed(kind)
        self.assertEqual(2 * len(self.others), len(found))
        return [each for each in found if each['id'] in self.others]

    def inventory_of_first(self, inventory, name):
        """Return what a pod has, but for the servers that are moved along and volumes."""
        along = {self.place('server', other)[1] for other in self.others.values()} | {*self.others.values()}
        found = inventory(name)
        return {**found, 'servers': found['servers'] - along, 'volumes': set()}


class TestCancels(KillsCase):
    with_commits = False

    def act(self, move_id):
        # It is being undone already, or has switched, so that it is reverted next.
        with contextlib.suppress(moves.Refused):
            moves.cancel(self.db, move_id)

    def test_volume_is_as_before_after_a_cancel_at_any_point(self):
        self.check(self.volume, 'volume', is_reverted=True)

    def test_server_is_as_before_after_a_cancel_at_any_point(self):
        volumes = []

        def server():
            volumes.append(self.volume())
            return self.server(volumes=volumes[-1:])

        self.check(server, 'server', is_reverted=True)
        self.assertEqual({'ACTIVE'}, {each['status'] for each in self.cloud.nova.get('/servers/detail')['servers']})
