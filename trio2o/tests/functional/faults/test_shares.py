# SPDX-License-Identifier: Apache-2.0
"""One slow or failing pod, or one project's slow requests, while others use the cloud."""

import threading

import fixtures

from trio2o.db import bindings
from trio2o.lab.emulated.faults import Hang, Refuse, Slow
from trio2o.tests.functional.operations.base import ConversationTest


def concurrently(number, function, *args):
    """Begin to call a function in several threads, and return a function that waits for their results."""
    results = []
    threads = [threading.Thread(target=lambda: results.append(function(*args))) for _each in range(number)]
    for thread in threads:
        thread.start()

    def wait():
        for thread in threads:
            thread.join(30)
        return results

    return wait


def held(test):
    """Hold the slow answers of pods until the returned function is called."""
    event = threading.Event()
    test.addCleanup(event.set)
    test.cloud.transport.real_time = True
    test.cloud.transport.sleep = lambda _seconds: event.wait(30)
    return event.set


class SharesTest(ConversationTest):
    pods = {'Pod1': 'az1', 'Pod2': 'az1'}

    def setUp(self):
        super().setUp()
        (self.in_pod1,) = self.cloud.lab.add_servers('Pod1', 'demo')
        (self.in_pod2,) = self.cloud.lab.add_servers('Pod2', 'demo')
        self.learn_servers()

    def show(self, server, **kwargs):
        return self.nova.get(f'/servers/{server["id"]}', **kwargs)

    def key(self, pod):
        return self.cloud.pod_ids[pod], 'compute'


class TestSlowPod(SharesTest):
    options = {'nova_apigw.threads': 8}

    def test_slow_pod_gets_its_share_of_calls_and_others_are_refused_at_once(self):
        let_go = held(self)
        self.cloud.pod('Pod2').nova.faults.add(Slow(1.0, path='/servers/'))
        shares = self.cloud.runtime.client.shares
        slow = concurrently(4, self.show, self.in_pod2)
        self.wait_for(lambda: len(shares._calls[self.key('Pod2')].started) == 4)
        shares.SLOW_CALL_SECONDS = 0.0
        # The calls are held until all others are answered.
        refused = self.show(self.in_pod2)
        self.assertEqual(503, refused.status)
        self.assertIn('Retry-After', refused.headers)
        self.assertEqual(200, self.show(self.in_pod1).status)
        let_go()
        self.assertEqual([200] * 4, [answer.status for answer in slow()])

    def test_many_calls_to_a_fast_pod_all_succeed(self):
        self.cloud.transport.real_time = True
        self.cloud.pod('Pod2').nova.faults.add(Slow(0.02, path='/servers/'))
        self.assertEqual([200] * 16, [answer.status for answer in concurrently(16, self.show, self.in_pod2)()])


class TestWorkInTheBackground(ConversationTest):
    """Pod2 does not answer a read that no request waits for. The pool of the background has one thread."""

    options = {'pods.background_size': 1, 'scheduler.reschedule_on_no_valid_host': True}

    def setUp(self):
        super().setUp()
        self.let_go = held(self)

    def boot(self, **given):
        body = {'name': 's', 'flavorRef': '1', 'imageRef': self.cloud.lab.image['id'], 'availability_zone': 'az2'}
        answer = self.nova.post('/servers', {'server': {**body, **given}})
        self.assertEqual(202, answer.status, answer.text)

    def assert_free(self, path):
        """Check that the background works while Pod2 does not answer a read."""
        nova = self.cloud.pod('Pod2').nova
        self.wait_for(lambda: [seen for seen in nova.requests if seen.method == 'GET' and path in seen.path], 30)
        ran = threading.Event()
        self.cloud.runtime.background.submit(ran.set)
        self.assertTrue(ran.wait(20))

    def test_batch_of_servers_is_read_in_a_thread_of_the_pod(self):
        self.cloud.pod('Pod2').nova.faults.add(Hang(method='GET', path='/servers/detail'))
        for _each in range(3):
            self.boot(min_count=2)
        self.assert_free('/servers/detail')

    def test_server_that_may_be_rescheduled_is_read_in_a_thread_of_the_pod(self):
        self.cloud.pod('Pod2').nova.faults.add(Hang(method='GET', path='/servers/'))
        for _each in range(3):
            self.boot()
        self.assert_free('/servers/')


class TestHungPods(ConversationTest):
    """Six of ten pods do not answer."""

    pods = {f'Pod{number}': 'az1' for number in range(1, 11)}
    run_jobs = True
    hung = [f'Pod{number}' for number in range(1, 7)]

    def setUp(self):
        super().setUp()
        self.shares = self.cloud.runtime.client.shares
        self.servers = {pod: self.add_server(pod, 'demo') for pod in self.pods}
        for pod in ('Pod9', 'Pod10'):
            self.add_server(pod, 'alt')
        self.let_go = held(self)
        for pod in self.hung:
            self.cloud.pod(pod).nova.faults.add(Hang(path='/servers'))

    def add_server(self, pod, as_):
        """Create a server in a pod. Pods that have joined are asked for lists only if they have a routing."""
        (server,) = self.cloud.lab.add_servers(pod, as_)
        self.assertEqual(200, self.nova.get(f'/servers/{server["id"]}', as_=as_).status)
        self.learn_servers(as_=as_)
        return server

    def under_way(self, pod):
        calls = self.shares._calls.get((self.cloud.pod_ids[pod], 'compute'))
        return len(calls.started) if calls else 0

    def list_servers(self, **kwargs):
        return self.nova.get('/servers/detail', **kwargs)

    def test_hundred_lists_wait_for_hung_pods_and_lists_of_other_pods_are_whole(self):
        slow = concurrently(100, self.list_servers)
        self.wait_for(lambda: sum(map(self.under_way, self.hung)) >= 192, 30)
        # The calls are held until all others are answered.
        for _each in range(5):
            self.assertEqual(2, len(self.list_servers(as_='alt')['servers']))
        self.let_go()
        self.assertEqual({503}, {answer.status for answer in slow()})

    def test_requests_wait_for_hung_pods_and_leave_half_of_the_threads(self):
        self.shares._limits['compute'] = 8
        slow = [concurrently(2, self.nova.get, f'/servers/{self.servers[pod]["id"]}') for pod in self.hung[:4]]
        self.wait_for(lambda: sum(map(self.under_way, self.hung)) == 8)
        self.shares.ANSWERING_SECONDS = 0.0
        before = len(self.seen('Pod1'))
        refused = self.nova.get(f'/servers/{self.servers["Pod1"]["id"]}')
        self.assertEqual(503, refused.status)
        self.assertIn('Retry-After', refused.headers)
        self.assertEqual(before, len(self.seen('Pod1')))
        self.assertEqual(200, self.nova.get(f'/servers/{self.servers["Pod10"]["id"]}').status)
        self.assertEqual(2, len(self.list_servers(as_='alt')['servers']))
        self.let_go()
        self.assertEqual([503] * 8, [answer.status for wait in slow for answer in wait()])


class TestWriteToHungPod(SharesTest):
    options = {'pods.replicate_timeout': 0.1}

    def test_write_of_an_object_does_not_wait_for_one_without_an_answer(self):
        let_go = held(self)
        self.cloud.pod('Pod1').nova.faults.add(Hang(path='/os-keypairs', method='POST'))
        slow = concurrently(1, self.nova.post, '/os-keypairs', {'keypair': {'name': 'k'}})
        self.wait_for(lambda: self.seen('Pod1', method='POST'))
        # The first write is held until the second one is answered.
        self.assertIn(self.nova.delete('/os-keypairs/k').status, (202, 404))
        self.assertEqual(1, len(self.cloud.runtime.client.shares._calls[self.key('Pod1')].started))
        let_go()
        self.assertEqual([504], [answer.status for answer in slow()])


class TestTimeoutsOfOneProject(SharesTest):
    def attach(self, as_='demo'):
        body = {'volumeAttachment': {'volumeId': '5ad5b1d0-7b0c-4e4b-9c36-2b1b1b1b1b1b'}}
        return self.nova.post(f'/servers/{self.in_pod2["id"]}/os-volume_attachments', body, as_=as_)

    def test_slow_requests_of_one_project_do_not_open_the_breaker(self):
        self.cloud.pod('Pod2').nova.faults.add(Hang(path='/os-volume_attachments'))
        for _each in range(5):
            self.attach()
        self.assertEqual(200, self.show(self.in_pod2).status)

    def test_slow_requests_of_one_project_open_the_breaker_of_a_pod_that_answers_nothing(self):
        self.cloud.pod('Pod2').nova.faults.add(Hang())
        for _each in range(3):
            self.show(self.in_pod2)
        self.assertTrue(self.cloud.runtime.client.breakers.is_open(self.key('Pod2')))

    def test_slow_requests_of_one_project_open_the_breaker_of_a_pod_that_only_shows_its_versions(self):
        self.cloud.pod('Pod2').nova.faults.add(Hang(path='/(servers|flavors)'))
        for _each in range(3):
            self.show(self.in_pod2)
        self.assertTrue(self.cloud.runtime.client.breakers.is_open(self.key('Pod2')))

    def test_slow_lists_of_volumes_of_one_project_open_the_breaker(self):
        self.cloud.pod('Pod2').cinder.faults.add(Hang(path='/volumes'))
        for _each in range(3):
            self.cinder.get('/volumes/detail')
        self.assertTrue(self.cloud.runtime.client.breakers.is_open((self.cloud.pod_ids['Pod2'], 'volume')))

    def test_slow_requests_of_two_projects_open_the_breaker(self):
        (other,) = self.cloud.lab.add_servers('Pod2', 'alt')
        self.learn_servers(as_='alt')
        self.cloud.pod('Pod2').nova.faults.add(Hang(path='/servers/'))
        for server, user in ((self.in_pod2, 'demo'), (self.in_pod2, 'demo'), (other, 'alt')):
            self.show(server, as_=user)
        self.assertTrue(self.cloud.runtime.client.breakers.is_open(self.key('Pod2')))

    def test_timeout_shorter_than_any_configured_one_is_not_counted(self):
        client, pod = (
            self.cloud.runtime.client,
            self.cloud.runtime.registry.snapshot().by_id[self.cloud.pod_ids['Pod2']],
        )
        self.cloud.pod('Pod2').nova.faults.add(Hang())
        for _each in range(5):
            try:
                client.send(pod, 'compute', 'GET', '/', [], timeout=0.1)
            except Exception as error:
                self.assertIn('no answer', str(error))
        self.assertFalse(client.breakers.is_open(self.key('Pod2')))


class TestTrialAfterPause(SharesTest):
    options = {'scheduler.weighers': 'binding'}

    def boot(self):
        body = {'server': {'name': 's', 'flavorRef': '1', 'imageRef': self.cloud.lab.image['id'], 'networks': 'none'}}
        return self.nova.post('/servers', body, version='2.96')

    def bound(self):
        names = {pod_id: name for name, pod_id in self.cloud.pod_ids.items()}
        current = bindings.current(self.cloud.runtime.db, self.cloud.project_id('demo'))
        return [names[each.pod_id] for each in current]

    def fail(self, pod):
        """Let requests to a pod fail until its breaker opens."""
        fault = Refuse()
        self.cloud.pod(pod).nova.faults.add(fault)
        for _each in range(3):
            self.show(self.in_pod1)
        self.assertTrue(self.cloud.runtime.client.breakers.is_open(self.key(pod)))
        return fault

    def test_creates_at_the_end_of_the_pause_go_to_the_pod_that_works_again(self):
        bindings.bind(self.cloud.runtime.db, self.cloud.project_id('demo'), 'az1', '', self.cloud.pod_ids['Pod1'])
        fault = self.fail('Pod1')
        self.cloud.pod('Pod1').nova.faults.remove(fault)
        self.cloud.transport.real_time = True
        self.cloud.pod('Pod1').nova.faults.add(Slow(0.05, method='POST'))
        self.wait_for(lambda: not self.cloud.runtime.client.breakers.is_open(self.key('Pod1')))
        self.assertEqual([202] * 6, [answer.status for answer in concurrently(6, self.boot)()])
        self.assertEqual(7, len(self.cloud.pod('Pod1').nova.servers))
        self.assertEqual(['Pod1'], self.bound())

    def test_project_with_resources_stays_bound_to_a_pod_that_fails_for_a_moment(self):
        bindings.bind(self.cloud.runtime.db, self.cloud.project_id('demo'), 'az1', '', self.cloud.pod_ids['Pod1'])
        self.fail('Pod1')
        self.assertEqual(202, self.boot().status)
        self.assertEqual(2, len(self.cloud.pod('Pod2').nova.servers))
        self.assertEqual(['Pod1'], self.bound())

    def test_project_is_bound_to_another_pod_when_its_pod_fails_for_long(self):
        bindings.bind(self.cloud.runtime.db, self.cloud.project_id('demo'), 'az1', '', self.cloud.pod_ids['Pod1'])
        self.fail('Pod1')
        self.cloud.runtime.scheduler._rebind_seconds = 0.0
        self.assertEqual(202, self.boot().status)
        self.assertEqual(['Pod2'], self.bound())


class TestRefusalForQuota(ConversationTest):
    pods = {'Pod1': 'az1'}
    run_jobs = True
    options = {'pods.fanout_size': 12, 'pods.background_size': 8, 'quota.instances': 5}

    def boot(self):
        body = {'server': {'name': 's', 'flavorRef': '1', 'imageRef': self.cloud.lab.image['id'], 'networks': 'none'}}
        return self.nova.post('/servers', body, version='2.96')

    def looks(self):
        return [request for request in self.seen('Pod1', method='GET') if '/servers/' in request.path]

    def test_looks_in_a_hung_pod_before_a_refusal_leave_others_alone(self):
        self.useFixture(fixtures.MonkeyPatch('trio2o.gateway.claiming.SETTLE_SECONDS', 0.5))
        for server in [self.boot() for _each in range(5)]:
            self.assertEqual(204, self.nova.delete(f'/servers/{server["server"]["id"]}').status)
        let_go = held(self)
        self.cloud.pod('Pod1').nova.faults.add(Hang(path='/servers/', method='GET'))
        refused = concurrently(3, self.boot)
        self.wait_for(lambda: len(self.looks()) >= 5)
        # The looks are held until all others are answered.
        self.assertEqual(200, self.nova.get('/flavors', as_='alt').status)
        self.assertEqual([], self.nova.get('/os-server-groups', as_='alt')['server_groups'])
        self.assertEqual([], self.cinder.get('/volumes/detail', as_='alt')['volumes'])
        self.assertEqual([403] * 3, [answer.status for answer in refused()])
        let_go()
        # All three requests looked once together.
        self.assertEqual(5, len(self.looks()))
