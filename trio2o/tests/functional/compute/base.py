# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of the Compute API."""

from trio2o.tests.functional.operations.base import ConversationTest


class InfrastructureTest(ConversationTest):
    """Requests of admins about hosts, hypervisors, services and aggregates."""

    def admin(self, method, path, json=None, version='2.1', **kwargs):
        return self.nova.request(method, path, json, as_='admin', version=version, **kwargs)

    def get(self, path, version='2.1', **kwargs):
        return self.admin('GET', path, version=version, **kwargs)

    def share_host(self):
        """Give both pods a host of one name."""
        for name in ('Pod1', 'Pod2'):
            self.cloud.pod(name).nova.hosts = ['same']

    def direct(self, pod, path, version='2.1'):
        return self.cloud.direct(pod).get(path, as_='admin', version=version)
