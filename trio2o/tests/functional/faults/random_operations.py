# SPDX-License-Identifier: Apache-2.0
"""Random operations of several tenants over pods that fail, and a model of what each tenant may believe.

One request follows another, and all choices come from one seed, so most failures can be repeated. A pod fails in the
ways of ``trio2o.lab.emulated.faults``, and processes are killed.
"""

import collections
import dataclasses
import random

from trio2o.db import quotas, routings
from trio2o.lab.emulated.faults import (
    BalancerAnswers,
    Drop,
    DropAfter,
    DropMidBody,
    Garbage,
    Hang,
    Refuse,
    Status,
    Truncate,
)
from trio2o.quota.settle import Settler
from trio2o.resources import ROUTED
from trio2o.tests.fixtures.cloud import GatewayFixture
from trio2o.tests.fixtures.waiting import wait_until
from trio2o.tests.functional.faults.killing import Killed, Process
from trio2o.xjob.manager import JobManager

PODS = {'Pod1': 'az1', 'Pod2': 'az1', 'Pod3': 'az2', 'Pod4': 'az2'}
OPTIONS = {
    'quota.watch_seconds': 0.1,
    'quota.claim_seconds': 1.0,
    'quota.instances': 12,
    'quota.volumes': 12,
    'xjob.retry_seconds': 0.01,
    'pods.breaker_seconds': 0.01,
}
TENANTS = ('demo', 'alt')
#: Seconds until everything has to be settled after the last fault.
SETTLE_SECONDS = 30
#: At most so many pods fail at once.
MAX_FAULTY = 2
FORMS = ('html', 'text', 'json', 'empty')


@dataclasses.dataclass
class Resource:
    """What a tenant may believe of a resource that it has asked for.

    :ivar id: None if no answer has told it
    :ivar may_exist, may_be_missing: both are true while the outcome of a request is unknown
    """

    kind: str
    tenant: str
    name: str
    id: str | None = None
    may_exist: bool = True
    may_be_missing: bool = True

    @property
    def must_exist(self):
        return self.may_exist and not self.may_be_missing


class Simulation:
    """A run of random operations.

    :ivar log: what was done, for the message of a failure
    """

    def __init__(self, test, seed, database_options):
        self.random = random.Random(seed)
        self.log = []
        self.resources = []
        self._names = 0
        self._faulty = {}
        self._in_maintenance = set()
        self.cloud = test.useFixture(GatewayFixture(dict(PODS), run_jobs=True, **OPTIONS, **database_options))
        self._projects = {tenant: self.cloud.project_id(tenant) for tenant in TENANTS}
        self.process = Process(self.cloud)
        test.addCleanup(lambda: self.process.close())

    # -- what happens --

    def run(self, steps):
        for _ in range(steps):
            self._choose()()
        self.end()

    def _choose(self):
        choices = {
            self.create_server: 5,
            self.create_volume: 4,
            self.create_snapshot: 2,
            self.delete: 4,
            self.extend_volume: 2,
            self.show: 4,
            self.list_servers: 4,
            self.list_volumes: 3,
            self.list_snapshots: 1,
            self.break_pod: 5,
            self.repair_pods: 2,
            self.maintain_pod: 1,
            self.kill_soon: 1,
            self.work: 2,
        }
        return self.random.choices(list(choices), list(choices.values()))[0]

    def create_server(self):
        body = {'flavorRef': self._flavor(), 'imageRef': self.cloud.lab.image['id']}
        self._create('server', self.cloud.nova, '/servers', body)

    def create_volume(self):
        self._create('volume', self.cloud.cinder, '/volumes', {'size': self.random.randint(1, 3)})

    def create_snapshot(self):
        volume = self._any_resource('volume')
        if volume is not None:
            body = {'volume_id': volume.id, 'force': True}
            self._create('snapshot', self.cloud.cinder, '/snapshots', body, volume.tenant, is_in_zone=False)

    def delete(self):
        one = self._any_resource()
        if one is None:
            return
        answer = self._ask(one.tenant, self._client(one), 'DELETE', f'/{one.kind}s/{one.id}')
        if answer is None or answer.status == 504 or not _is_own(answer):
            one.may_be_missing = True
        elif answer.status in (202, 204):
            one.may_exist, one.may_be_missing = False, True
        elif answer.status == 404:
            self._is_missing(one)
        else:
            assert answer.status != 500, answer.text

    def extend_volume(self):
        one = self._any_resource('volume')
        if one is not None:
            body = {'os-extend': {'new_size': self.random.randint(2, 6)}}
            answer = self._ask(one.tenant, self.cloud.cinder, 'POST', f'/volumes/{one.id}/action', body)
            if answer is not None and answer.status == 404 and _is_own(answer):
                self._is_missing(one)
            assert answer is None or answer.status != 500, answer.text

    def show(self):
        one = self._any_resource()
        if one is None:
            return
        answer = self._ask(one.tenant, self._client(one), 'GET', f'/{one.kind}s/{one.id}')
        if answer is None:
            return
        if answer.status == 200:
            if self._faulty and not _is_json(answer):
                return  # the gateway does not read what it only passes on
            assert answer[one.kind]['id'] == one.id
        elif answer.status == 404 and _is_own(answer):
            self._is_missing(one)
        else:
            assert self._is_unhealthy() or answer.status == 200, (answer.status, answer.text)

    def list_servers(self):
        self._list('server', self.cloud.nova, self.random.choice(['2.1', '2.96']))

    def list_volumes(self):
        self._list('volume', self.cloud.cinder, '3.60')

    def list_snapshots(self):
        self._list('snapshot', self.cloud.cinder, '3.60')

    def maintain_pod(self):
        """Begin or end the maintenance of a pod, as an operator does."""
        name = self.random.choice(list(PODS))
        state = 'enabled' if name in self._in_maintenance else 'maintenance'
        (self._in_maintenance.discard if state == 'enabled' else self._in_maintenance.add)(name)
        self.cloud.set_pod(name, state=state)
        self._note(f'{name}: {state}')

    def break_pod(self):
        """Let a service of a pod fail, for some requests or until it is repaired."""
        name = self.random.choice(list(PODS))
        if name not in self._faulty and len(self._faulty) == MAX_FAULTY:
            return
        service = getattr(self.cloud.pod(name), self.random.choice(['nova', 'cinder']))
        fault = self._fault()
        self._faulty.setdefault(name, []).append(fault)
        service.faults.add(fault)
        self._note(f'{name} {type(service).__name__}: {fault}')

    def repair_pods(self):
        for name in self._faulty:
            for service in (self.cloud.pod(name).nova, self.cloud.pod(name).cinder):
                service.faults.clear()
        self._faulty.clear()
        self._note('pods repaired')

    def kill_soon(self):
        calls, is_after = self.random.randint(0, 2), self.random.random() < 0.7
        self.process.kill_at(calls, is_after)
        self._note(f'killed {"after" if is_after else "before"} {calls} more calls')

    def work(self):
        """Run the jobs that are due."""
        self._note('jobs run')
        try:
            self._run_jobs()
        except Killed:
            pass
        if self.process.is_dead:
            self._restart()

    # -- the end --

    def end(self):
        """Repair all, wait until nothing is claimed, and compare with what the pods have."""
        self.repair_pods()
        self.process.survive()
        for name in self._in_maintenance:
            self.cloud.set_pod(name, state='enabled')
        wait_until(self._is_settled, SETTLE_SECONDS, lambda: f'claims stay open: {self._claims()}', 0.1)
        self._reconcile()
        self._check_end()

    def _is_settled(self):
        self._run_jobs()
        settler = Settler(self.process.runtime)
        for claim in self._claims():
            settler.settle(claim)
        settler.recount_related()
        return not self._claims()

    def _claims(self):
        return quotas.list_claims(self.process.runtime.db, limit=1000)

    def _reconcile(self):
        for pod_id in self.cloud.pod_ids.values():
            self.process.runtime.jobs.submit('reconcile_routings', pod_id, {'pod_id': pod_id, 'is_full': True})
        self._run_jobs()

    def _run_jobs(self):
        manager = JobManager(self.cloud.conf, self.process.runtime)
        for _ in range(50):
            if manager.run_one() is None:
                return

    def _check_end(self):
        sizes = collections.Counter()
        for kind, attribute, service in (
            ('server', 'nova', self.cloud.nova),
            ('volume', 'cinder', self.cloud.cinder),
            ('snapshot', 'cinder', self.cloud.cinder),
        ):
            existing = collections.defaultdict(dict)
            for name in PODS:
                direct = self.cloud.direct(name, attribute)
                for item in direct.get(f'/{kind}s/detail?all_tenants=1', as_='admin')[f'{kind}s']:
                    existing[ROUTED[kind].owner_of(item, '')][item['id']] = item
            for tenant, project_id in self._projects.items():
                items = existing[project_id]
                listed = service.get(f'/{kind}s/detail', as_=tenant).json[f'{kind}s']
                self._equal(sorted(items), sorted(item['id'] for item in listed), f'{kind}s of {tenant}')
                live = self._live_routings(kind, project_id)
                self._equal(sorted(items), live, f'routings of {kind}s of {tenant}')
                names = collections.Counter(item['name'] for item in items.values())
                self._equal({}, {name: count for name, count in names.items() if count > 1}, f'{kind}s made twice')
                for one in self.resources:
                    if (one.kind, one.tenant) == (kind, tenant):
                        self._check_resource(one, items, names)
                sizes[tenant] += sum(item.get('size', 0) for item in items.values())
                self._check_used({'server': 'instances'}.get(kind, f'{kind}s'), tenant, len(items))
        for tenant in TENANTS:
            self._check_used('gigabytes', tenant, sizes[tenant])

    def _live_routings(self, kind, project_id):
        db, pod_ids = self.process.runtime.db, self.cloud.pod_ids.values()
        found = [routings.list_for_pod(db, kind, pod_id, project_id) for pod_id in pod_ids]
        return sorted(routing.top_id for of_pod in found for routing in of_pod)

    def _check_resource(self, one, items, names):
        exists = one.id in items or one.name in names
        if one.must_exist:
            self._equal(True, exists, f'{one} exists')
        if not one.may_exist:
            self._equal(False, exists, f'{one} exists')

    def _check_used(self, name, tenant, number):
        row = quotas.usage(self.process.runtime.db, self._projects[tenant]).get(name)
        self._equal((number, 0), (row.in_use, row.claimed) if row else (0, 0), f'{name} of {tenant}')

    # -- helpers --

    def _create(self, kind, client, path, body, tenant=None, is_in_zone=True):
        tenant = tenant or self.random.choice(TENANTS)
        self._names += 1
        one = Resource(kind, tenant, f'{kind}-{self._names}')
        self.resources.append(one)
        zone = self.random.choice([None, 'az1', 'az2']) if is_in_zone else None
        body = {'name': one.name, **body, **({'availability_zone': zone} if zone else {})}
        answer = self._ask(tenant, client, 'POST', path, {kind: body})
        if answer is None or answer.status == 504 or not _is_own(answer):
            return
        if answer.status == 202:
            one.id, one.may_be_missing = answer[kind]['id'], False
            return
        assert answer.status != 500, answer.text
        one.may_exist = False

    def _list(self, kind, client, version):
        tenant = self.random.choice(TENANTS)
        answer = self._ask(tenant, client, 'GET', f'/{kind}s/detail', version=version)
        if answer is None:
            return
        if answer.status != 200:
            assert self._is_unhealthy(), (answer.status, answer.text)
            return
        ids = [item['id'] for item in answer[f'{kind}s']]
        mine = [one for one in self.resources if one.kind == kind and one.tenant == tenant]
        missing = {one.id for one in mine if one.must_exist} - set(ids)
        self._equal(set(), missing, f'{kind}s of {tenant} missing in a list at {version}')
        self._equal(sorted(set(ids)), sorted(ids), 'ids listed twice')
        others = {one.id for one in self.resources if one.tenant != tenant and one.id}
        self._equal(set(), others & set(ids), f'{kind}s of others in a list of {tenant}')

    def _is_unhealthy(self):
        return bool(self._faulty or self._in_maintenance)

    def _any_resource(self, kind=None):
        known = [one for one in self.resources if one.id and one.may_exist and kind in (None, one.kind)]
        return self.random.choice(known) if known else None

    def _is_missing(self, one):
        """A pod has said that a resource does not exist."""
        self._equal(True, one.may_be_missing, f'{one} may be missing')
        one.may_exist = False

    def _client(self, one):
        return self.cloud.nova if one.kind == 'server' else self.cloud.cinder

    def _ask(self, tenant, client, method, path, body=None, version=None):
        """Send a request of a tenant. :returns: None if the process was killed"""
        self._note(f'{tenant}: {method} {path} {body or ""}')
        try:
            answer = client.request(method, path, body, as_=tenant, **({'version': version} if version else {}))
        except Killed:
            answer = None
        if self.process.is_dead:
            # A handler or another thread may have made another error of it.
            self._restart()
            return None
        self._note(f'    {answer.status} {answer.body[:200]!r}')
        return answer

    def _restart(self):
        self._note('    killed')
        self.process.close()
        self.process = Process(self.cloud)

    def _flavor(self):
        return next(iter(self.cloud.pod('Pod1').nova.flavors))

    def _fault(self):
        pick = self.random.choice
        times = pick([1, 1, 2, 5, None])
        form, code = pick(FORMS), pick([401, 403, 404, 404, 429, 500, 502, 503, 504])
        # A proxy that answers 503 in HTML has reached no server.
        is_processed = pick([False, True]) and (form, code) != ('html', 503)
        status = BalancerAnswers(form, code, is_processed, times=times)
        others = [
            Drop(times=times),
            DropAfter(times=times),
            DropMidBody(times=times),
            Truncate(times=times),
            Hang(times=times),
            Refuse(times=times),
            Status(503, times=times),
            Garbage(method='GET', times=times),
        ]
        return pick([status, pick(others)])

    def _note(self, text):
        self.log.append(text)

    def _equal(self, wanted, found, what):
        if wanted != found:
            raise AssertionError(f'{what}: {found}, not {wanted}')


def _is_own(answer):
    """Whether an answer is in the form of the services, and not that of a balancer in front of a pod."""
    if answer.status < 400:
        return True
    document = answer.json if _is_json(answer) else None
    faults = document.items() if isinstance(document, dict) else ()
    return any(name != 'error' and isinstance(fault, dict) and 'code' in fault for name, fault in faults)


def _is_json(answer):
    try:
        return answer.json is not None
    except ValueError:
        return False
