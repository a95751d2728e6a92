# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of this folder: pods whose resources Trio2o's user may move, and moves that run to their end."""

import datetime

from trio2o.db import moves as db_moves
from trio2o.db import routings
from trio2o.moves import planner, steps
from trio2o.moves.engine import Engine
from trio2o.moves.planner import Wanted
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.jobs.base import JobsCase
from trio2o.xjob.jobs.base import Interrupted

#: Seconds in which a move of an emulated pod ends, even on a busy host.
_SECONDS = 60


class MovesCase(JobsCase):
    def setUp(self):
        super().setUp()
        self.cloud.lab.keystone.users['trio2o'].roles['demo'] = ('admin',)

    def gateway(self, **options):
        return super().gateway(**{'moves.poll_seconds': 0.0, 'moves.confirm_seconds': 0, **options})

    # -- what tenants create --

    def age(self, server_id, pod='Pod1'):
        """Let a server be an hour old, so that its copy has another time of creation."""
        self.cloud.pod(pod).nova.servers[server_id]['created_at'] -= datetime.timedelta(hours=1)
        self.cloud.nova.get('/servers/detail')

    def volume(self, zone='az1', as_='demo', **given):
        """Create a volume. :returns: its id, when it is available"""
        answer = self.cloud.cinder.post(
            '/volumes', {'volume': {'size': 1, 'availability_zone': zone, **given}}, as_=as_
        )
        self.assertEqual(202, answer.status, answer.text)
        return answer['volume']['id']

    def server(self, zone='az1', volumes=(), is_boot_volume=False, as_='demo', **given):
        """Create a server without ports. :returns: its id, when it is active"""
        flavor = next(iter(self.cloud.pod('Pod1').nova.flavors))
        server = {'name': 'web', 'flavorRef': flavor, 'networks': 'none', 'availability_zone': zone, **given}
        devices = [
            {
                'uuid': volume,
                'source_type': 'volume',
                'destination_type': 'volume',
                'boot_index': 0 if is_boot_volume and at == 0 else -1,
            }
            for at, volume in enumerate(volumes)
        ]
        if not is_boot_volume:
            image = self.cloud.lab.image['id']
            server['imageRef'] = image
            if devices:
                local = {'uuid': image, 'source_type': 'image', 'destination_type': 'local', 'boot_index': 0}
                devices.insert(0, local)
        if devices:
            server['block_device_mapping_v2'] = devices
        answer = self.cloud.nova.post('/servers', {'server': server}, version='2.94', as_=as_)
        self.assertEqual(202, answer.status, answer.text)
        return answer['server']['id']

    def shared_volume(self, **given):
        """Create a volume that several servers can use. :returns: its id"""
        kind = {'name': 'shared', 'extra_specs': {'multiattach': '<is> True'}}
        made = self.cloud.cinder.post('/types', {'volume_type': kind}, as_='admin')
        self.assertIn(made.status, (200, 409), made.text)
        return self.volume(volume_type='shared', **given)

    def show(self, server_id, version='2.94', **options):
        return self.cloud.nova.get(f'/servers/{server_id}', version=version, **options)['server']

    def show_volume(self, volume_id, **options):
        return self.cloud.cinder.get(f'/volumes/{volume_id}', version='3.70', **options)['volume']

    # -- moves --

    @property
    def db(self):
        return self.cloud.runtime.db

    def plan(self, resource_type, resource_id, pod='Pod2', **given):
        return planner.make_plan(
            self.cloud.runtime, Wanted(resource_type, resource_id, self.cloud.pod_ids[pod], **given)
        )

    def start(self, resource_type, resource_id, pod='Pod2', **given):
        """Begin a move. :returns: its id"""
        plan = self.plan(resource_type, resource_id, pod, **given)
        self.assertFalse(plan.is_blocked, plan.findings)
        return planner.submit(self.cloud.runtime, plan, 'someone').id

    def run_move(self, move_id, until=None, after=None):
        """Run a move until it ends, needs somebody, is in a state, or a step is done or undone.

        :param after: name of the step
        :returns: the move
        """
        names = db_moves.get(self.db, move_id).plan['steps']
        # Some steps have the id of a server in their names.
        last = [at for at, name in enumerate(names) if after in (name, name.rpartition(' ')[0])]

        def check():
            move = db_moves.get(self.db, move_id)
            if move.state == until:
                raise Interrupted(until)
            if after is not None and move.step is not None:
                at, done = names.index(move.step), last[-1]
                if (at > done) if move.is_forward else (at < done):
                    raise Interrupted(after)

        engine = Engine(self.cloud.runtime, move_id, check)

        def ended():
            try:
                pause = engine.advance()
            except Interrupted:
                pause = None
            self.cloud.runtime.registry.refresh()
            move = db_moves.get(self.db, move_id)
            return move if pause is None or move.state == until else None

        return wait_until(ended, _SECONDS, lambda: f'no end: {db_moves.get(self.db, move_id)}', interval=0.02)

    def move(self, resource_type, resource_id, pod='Pod2', **given):
        """Move a resource. :returns: the move, which is confirmed"""
        move = self.run_move(self.start(resource_type, resource_id, pod, **given))
        self.assertEqual('confirmed', move.status, move.error)
        return move

    def place(self, resource_type, resource_id):
        """Return the name of the pod of a resource, and its id in it."""
        routing = routings.get(self.db, resource_type, resource_id)
        names = {pod_id: name for name, pod_id in self.cloud.pod_ids.items()}
        return names[routing.pod_id], routing.bottom_id

    def disk(self, kind, resource_id):
        """Return the disk of a resource, wherever it is."""
        pod, bottom_id = self.place('volume' if kind == 'volume' else 'server', resource_id)
        return self.cloud.pod(pod).disk(kind, bottom_id)

    def ledger(self, move_id):
        """Return the items of a move by key."""
        return {item.key: item for item in db_moves.items(self.db, move_id)}

    def inventory(self, name):
        """Return all that a pod has and Glance has, for comparisons: kind -> ids."""
        pod = self.cloud.pod(name)
        return {
            'servers': {each['id'] for each in pod.nova.servers.values() if not each['deleted']},
            'volumes': set(pod.cinder.volumes),
            'snapshots': set(pod.cinder.snapshots),
            'keypairs': set(pod.nova.keypairs),
            'images': set(self.cloud.lab.glance.images),
        }


class TenantCase(MovesCase):
    """Moves that wait for their confirmation."""

    def gateway(self, **options):
        return super().gateway(**{'moves.confirm_seconds': 3600, **options})

    def servers_of(self, pod):
        """Return the ids of the servers of a pod that nobody has deleted."""
        servers = self.cloud.pod(pod).nova.servers.values()
        return {each['id'] for each in servers if not each['deleted'] and each['task_state'] != 'deleting'}

    def each_step(self, move_id, look):
        """Run a move step by step. :param look: called after each step, with its name"""
        for step in steps.of_plan(db_moves.get(self.db, move_id).plan):
            if step.name == 'wait for confirmation':
                db_moves.confirm(self.db, move_id)
            self.run_move(move_id, after=step.name)
            look(step.name)
        self.assertEqual('confirmed', db_moves.get(self.db, move_id).status)
