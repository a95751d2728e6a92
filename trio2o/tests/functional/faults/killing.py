# SPDX-License-Identifier: Apache-2.0
"""Processes that are killed at a call to a pod, without the time that it takes to start real ones.

Nothing of a killed process runs any more: its calls to pods and its statements raise an exception that no handler of
the product catches, so clean-up in ``finally`` has no effect either.
"""

import sqlalchemy

from trio2o.cinder_apigw import SERVICE as CINDER
from trio2o.nova_apigw import SERVICE as NOVA
from trio2o.runtime import build_runtime


class Killed(BaseException):
    """The process that runs was killed. No handler of the product may catch it."""


class Process:
    """A process of the gateways and a worker: a runtime of its own, whose calls to pods can kill it.

    From its start it answers the requests of the tenants of a ``GatewayFixture``.
    """

    def __init__(self, cloud):
        self._cloud = cloud
        self._transport = cloud.lab.transport()
        self._calls_left = None
        self._is_killed_after = False
        self._method = ''
        self.is_dead = False
        self.runtime = build_runtime(cloud.conf, transport=self, identity_transport=cloud.lab.adapter())
        for engine in {self.runtime.db.engine, self.runtime.db.reading_engine}:
            sqlalchemy.event.listen(engine.pool, 'checkout', self._connection_taken)
        for service, client in ((NOVA, cloud.nova), (CINDER, cloud.cinder)):
            client.mount(cloud.build(service, self.runtime))

    def request(self, method, *args, **kwargs):
        """Send a request to a pod, as a transport of the pod client."""
        if self.is_dead:
            raise Killed
        is_counted = self._calls_left is not None and self._method in ('', method)
        is_last = is_counted and self._calls_left == 0
        if is_counted:
            self._calls_left -= 1
        if is_last and not self._is_killed_after:
            self._die()
        answer = self._transport.request(method, *args, **kwargs)
        if is_last:
            self._die()
        return answer

    def kill_at(self, calls, is_after, method=''):
        """Kill the process at a later call to a pod.

        :param calls: number of calls before that one
        :param is_after: whether the pod gets that call
        :param method: count only calls with this method; empty: all
        """
        self._calls_left, self._is_killed_after, self._method = calls, is_after, method

    def survive(self):
        """Do not kill the process any more."""
        self._calls_left = None

    def close(self):
        self.is_dead = True
        self.runtime.pod_threads.shutdown(wait_seconds=5)
        self.runtime.db.dispose()

    def _die(self):
        self.is_dead = True
        raise Killed

    def _connection_taken(self, *_args):
        if self.is_dead:
            raise Killed
