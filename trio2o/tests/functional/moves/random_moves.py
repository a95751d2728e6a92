# SPDX-License-Identifier: Apache-2.0
"""Moves that are steered at random while pods fail, requests break off, commits fail and workers die."""

import collections
import random

import sqlalchemy
from oslo_db import exception as db_exc
from sqlalchemy import exc

from trio2o.db import moves
from trio2o.lab.emulated.faults import (
    BalancerAnswers,
    Drop,
    DropAfter,
    DropMidBody,
    Refusal,
    Refuse,
    Status,
    StatusAfter,
    Truncate,
)
from trio2o.moves import planner
from trio2o.moves.engine import Engine
from trio2o.moves.planner import Wanted
from trio2o.xjob.jobs.base import Interrupted

#: Each hits one request of each service.
FAULTS = (
    Drop,
    DropAfter,
    DropMidBody,
    Truncate,
    Refuse,
    Status,
    StatusAfter,
    lambda **given: BalancerAnswers(status=404, **given),
    lambda **given: BalancerAnswers(status=404, is_processed=True, **given),
    lambda **given: Refusal(status=409, **given),
    lambda **given: Refusal(status=403, **given),
)
#: Requests that a fault hits: of any method, or those that change something.
METHODS = ('', 'POST', 'POST', 'DELETE', 'PUT')
#: Resource -> its weight.
KINDS = {'volume': 3, 'server': 3, 'boot from volume': 2, 'ports': 2, 'pair': 1}
#: Parts of the runs of a move in which something happens to it.
FAULT, KILL, COMMIT, STEER = 0.6, 0.15, 0.04, 0.05
#: Runs after which nothing more happens, so that each move ends.
RUNS = 400
_VERBS = {
    'pause': moves.pause,
    'resume': moves.resume,
    'cancel': moves.cancel,
    'confirm': moves.confirm,
    'revert': moves.revert,
}


class Killed(BaseException):
    """The worker has died."""


class Simulation:
    """Moves of one seed.

    :ivar log: what has happened, for the report of a failure
    """

    def __init__(self, case, seed, size):
        self.case, self.cloud, self.db = case, case.cloud, case.db
        self.random = random.Random(seed)
        self.size = size
        self.log = []
        self.resources = {}  # move id -> (type, ids of servers, ids of volumes, power state)
        self.deleted = set()
        self.checksums = {}
        lab = self.cloud.lab
        self.services = [lab.glance, lab.neutron]
        for name in ('Pod1', 'Pod2'):
            self.services += [self.cloud.pod(name).nova, self.cloud.pod(name).cinder]
        self.countdown = None  # requests and commits until the worker dies
        self.fails_commit = False
        transport, send = self.cloud.transport, self.cloud.transport.request

        def request(method, *args, **kwargs):
            self._passed()
            answer = send(method, *args, **kwargs)
            self._passed()
            return answer

        transport.request = request
        sqlalchemy.event.listen(self.db.engine, 'commit', self._committed)

    # -- what happens --

    def _passed(self):
        if self.countdown is not None:
            self.countdown -= 1
            if self.countdown <= 0:
                self.countdown = None
                raise Killed

    def _committed(self, _connection):
        self._passed()
        if self.fails_commit:
            self.fails_commit = False
            raise exc.OperationalError('COMMIT', {}, Exception('the server has gone away'))

    def _advance(self, move_id, is_quiet):
        """Run the steps of a move, and let something happen meanwhile."""
        fault = None
        if not is_quiet:
            if self.random.random() < FAULT:
                method = self.random.choice(METHODS)
                after = self.random.randrange(2 if method else 6)
                fault = self.random.choice(FAULTS)(times=1, method=method, after=after)
                for service in self.services:
                    service.faults.add(fault)
            if self.random.random() < KILL:
                self.countdown = self.random.randint(1, 25)
            self.fails_commit = self.random.random() < COMMIT
        try:
            Engine(self.cloud.runtime, move_id, self._until(self.random.randint(1, 3))).advance()
        except Interrupted:
            pass
        except Killed:
            self._say(move_id, 'the worker died')
        except (exc.OperationalError, db_exc.DBError):
            # The job fails, and is run again.
            self._say(move_id, 'a commit failed')
        finally:
            self.countdown, self.fails_commit = None, False
            if fault is not None:
                for service in self.services:
                    service.faults.remove(fault)

    @staticmethod
    def _until(steps):
        """Return a check that ends a run after some steps. The emulated pods are so fast that one run would do all."""
        left = steps

        def check():
            nonlocal left
            left -= 1
            if left < 0:
                raise Interrupted('enough steps')

        return check

    def _say(self, move_id, text):
        move = moves.get(self.db, move_id)
        self.log.append(f'{move_id[:8]} {move.status} {move.step}: {text}')

    def _steer(self, move_id):
        move = moves.get(self.db, move_id)
        allowed = [verb for verb in moves.allowed_verbs(move) if verb in _VERBS]
        kind, servers, volumes, _power = self.resources[move_id]
        if self.random.random() < 0.15:
            self._delete(move_id, 'volume' if kind == 'volume' else 'server', (servers or volumes)[0])
        elif allowed:
            verb = self.random.choice(allowed)
            _VERBS[verb](self.db, move_id)
            self._say(move_id, verb)

    def _delete(self, move_id, kind, resource_id):
        if resource_id in self.deleted:
            return
        client = self.cloud.nova if kind == 'server' else self.cloud.cinder
        answer = client.delete(f'/{kind}s/{resource_id}')
        self._say(move_id, f'delete of {kind}: {answer.status}')
        if answer.status in (202, 204):
            self.deleted.add(resource_id)
        else:
            # It is being reverted or moved.
            self.case.assertIn(answer.status, (400, 409), answer.text)

    # -- resources --

    def _create(self):
        kind = self.random.choices(list(KINDS), KINDS.values())[0]
        case, servers, volumes = self.case, [], []
        if kind == 'volume':
            volumes = [case.volume()]
        elif kind == 'server':
            volumes = [case.volume() for _ in range(self.random.randrange(2))]
            servers = [case.server(volumes=volumes)]
        elif kind == 'boot from volume':
            volumes = [case.volume(imageRef=self.cloud.lab.image['id'])]
            servers = [case.server(volumes=volumes, is_boot_volume=True)]
        elif kind == 'ports':
            servers = [case.server(networks=[{'port': case.port()}, {'uuid': case.network['id']}])]
        else:
            volumes = [case.shared_volume()]
            servers = [case.server(volumes=volumes) for _ in range(2)]
        power = 'ACTIVE'
        if servers and self.random.random() < 0.3:
            power = 'SHUTOFF'
            for server in servers:
                self.cloud.nova.post(f'/servers/{server}/action', {'os-stop': None})
        for server in servers:
            case.assertEqual(power, case.show(server)['status'])
            if kind != 'boot from volume':
                self.checksums['root', server] = case.disk('root', server).checksum()
        for volume in volumes:
            case.disk('volume', volume).write(volume.encode())
            self.checksums['volume', volume] = case.disk('volume', volume).checksum()
        first = ('server', servers[0]) if servers else ('volume', volumes[0])
        plan = planner.make_plan(
            self.cloud.runtime, Wanted(*first, self.cloud.pod_ids['Pod2'], also=tuple(servers[1:]))
        )
        case.assertFalse(plan.is_blocked, plan.findings)
        move_id = planner.submit(self.cloud.runtime, plan, 'someone').id
        self.resources[move_id] = (kind, servers, volumes, power)

    # -- the run --

    def run(self):
        """Begin moves, let things happen to them, let them end, and look."""
        for _ in range(self.size):
            self._create()
        left = set(self.resources)
        runs = 0

        def turn():
            nonlocal runs
            for move_id in sorted(left):
                runs += 1
                is_quiet = runs > RUNS * self.size
                # In its first step a move only waits until all processes know of it.
                is_still = is_quiet or (moves.get(self.db, move_id).step is None and self.random.random() < 0.9)
                self._advance(move_id, is_still)
                if not is_still and self.random.random() < STEER:
                    self._steer(move_id)
                self._go_on(move_id, is_quiet)
                if not moves.get(self.db, move_id).is_active:
                    left.discard(move_id)
            self.cloud.runtime.registry.refresh()
            return not left

        self.case.wait(turn, lambda: f'{[moves.get(self.db, each) for each in sorted(left)][:2]} do not end')
        self._check()

    def _go_on(self, move_id, is_quiet):
        """Do what an operator does in the end with a move that waits for somebody."""
        move = moves.get(self.db, move_id)
        waits = move.hold or (move.state == 'switched' and move.is_forward and move.wish != 'confirm')
        if not move.is_active or not waits:
            return
        allowed = [verb for verb in moves.allowed_verbs(move) if verb in _VERBS and verb != 'pause']
        self.case.assertNotEqual([], allowed, (move.id, move.status, move.step, move.error))
        if is_quiet or self.random.random() < 0.3:
            verb = self.random.choice(allowed)
            self._say(move_id, f'{verb} ({move.error})')
            _VERBS[verb](self.db, move_id)

    # -- what has to hold --

    def _check(self):
        case = self.case
        case.settle()
        there = collections.defaultdict(set)
        for move_id, (kind, servers, volumes, power) in self.resources.items():
            for server in servers:
                self._check_one(there, 'server', server)
                if server not in self.deleted:
                    case.assertEqual(power, case.show(server)['status'], (move_id, server))
            for volume in volumes:
                self._check_one(there, 'volume', volume, kind)
        for name in ('Pod1', 'Pod2'):
            found = case.inventory(name)
            for kind in ('servers', 'volumes'):
                case.assertEqual(there[name, kind], found[kind], (name, kind))
            case.assertEqual((set(), set()), (found['snapshots'], found['keypairs']), name)
        case.assertEqual({self.cloud.lab.image['id']}, found['images'])
        servers, volumes = (
            {each for names, ids in there.items() if names[1] == kind for each in ids}
            for kind in ('servers', 'volumes')
        )
        case.assertEqual((len(servers), len(volumes)), case.quota_in_use())
        for kind, count in (('server', len(servers)), ('volume', len(volumes))):
            client = self.cloud.nova if kind == 'server' else self.cloud.cinder
            listed = [each['id'] for each in client.get(f'/{kind}s')[f'{kind}s']]
            case.assertEqual(count, len(listed))
            case.assertEqual(
                count, len({*listed} & {each for row in self.resources.values() for each in row[1] + row[2]})
            )
        case.check_ports({each for row in self.resources.values() for each in row[1]} - self.deleted)

    def _check_one(self, there, kind, resource_id, of=''):
        if resource_id in self.deleted:
            client = self.cloud.nova if kind == 'server' else self.cloud.cinder
            self.case.assertEqual(404, client.get(f'/{kind}s/{resource_id}').status, resource_id)
            return
        pod, bottom_id = self.case.place(kind, resource_id)
        there[pod, f'{kind}s'].add(bottom_id)
        disk = ('root' if kind == 'server' else 'volume', resource_id)
        if disk in self.checksums:
            self.case.assertEqual(self.checksums[disk], self.case.disk(*disk).checksum(), disk)
