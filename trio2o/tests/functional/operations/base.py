# SPDX-License-Identifier: Apache-2.0
"""Shared by tests that send requests to a gateway."""

import testtools

from trio2o.db import routings
from trio2o.tests.fixtures.cloud import GatewayFixture

#: Versions at which most operations exist.
from trio2o.tests.fixtures.waiting import wait_until

VERSIONS = {'nova': '2.96', 'cinder': '3.70'}


def ids(items):
    return [item['id'] for item in items]


def version_of(name, operation):
    """The newest version that has the row."""
    newest = tuple(map(int, VERSIONS[name].split('.')))
    version = min(newest, operation.max_version or newest)
    return '{}.{}'.format(*max(version, operation.min_version or version))


class ConversationTest(testtools.TestCase):
    """A gateway with the pods in ``pods`` ({name: zone}), and with ``options`` by section."""

    pods = {'Pod1': 'az1', 'Pod2': 'az2'}
    options = {}
    #: Whether the pods have joined: the jobs of their registration have run.
    run_jobs = False

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(GatewayFixture(pods=self.pods, run_jobs=self.run_jobs, **self.options))

    @property
    def nova(self):
        return self.cloud.nova

    @property
    def cinder(self):
        return self.cloud.cinder

    def wait_for(self, is_true, seconds=5.0):
        """Wait for the result of work in the background."""
        wait_until(is_true, seconds, 'the work in the background has no result', 0.002)

    def pod_of(self, resource_type, top_id):
        """The name of the pod in the routing of a resource, or None."""
        routing = routings.get(self.cloud.runtime.db, resource_type, top_id)
        names = {pod_id: name for name, pod_id in self.cloud.pod_ids.items()}
        return routing and names[routing.pod_id]

    def learn_servers(self, path='/servers/detail', **kwargs):
        """List servers, and wait until they are recorded."""
        self._learn(self.nova.get(path, **kwargs)['servers'], 'server')

    def learn_volumes(self, path='/volumes/detail', **kwargs):
        self._learn(self.cinder.get(path, **kwargs)['volumes'], 'volume')

    def _learn(self, items, resource_type):
        wanted = ids(items)
        self.wait_for(lambda: len(routings.get_many(self.cloud.runtime.db, resource_type, wanted)) == len(wanted))
        # A thread remembers them only after it has recorded them, maybe after a test has cleared the memory.
        locator = self.cloud.runtime.locator
        self.wait_for(lambda: all((resource_type, id_) in locator._cache for id_ in wanted))

    def seen(self, pod, service='nova', method=None):
        """The requests that a pod received."""
        requests = getattr(self.cloud.pod(pod), service).requests
        return [request for request in requests if method in (None, request.method)]

    def break_pod(self, name, fault, services=('nova', 'cinder')):
        """Give a pod this fault and no other."""
        for service in services:
            faults = getattr(self.cloud.pod(name), service).faults
            faults.clear()
            faults.add(fault)

    def skip_down_pods(self, may_skip=True):
        """Let lists and sums leave out the part of pods that are down, or not."""
        for section in ('nova_apigw', 'cinder_apigw'):
            self.override('list_records_by_skipping_down_pods', may_skip, section)

    def override(self, name, value, section):
        """Set an option until the end of the test."""
        self.cloud.conf.set_override(name, value, section)
        self.addCleanup(self.cloud.conf.clear_override, name, section)

    def assert_own_words(self, answer, status):
        """Assert that the answer is an error of the gateway, which names no pods or URLs. :returns: its message"""
        self.assertEqual(status, answer.status, answer.text)
        text = answer.text
        for name in self.cloud.lab.pods:
            self.assertNotIn(name, text)
            self.assertNotIn(f'{name.lower()}.', text)
        self.assertNotIn('Traceback', text)
        return answer.fault
