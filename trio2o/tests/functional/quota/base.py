# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of this folder: a cloud with limits, and assertions about its quota usage."""

import testtools

from trio2o.db import quotas
from trio2o.quota.settle import Settler
from trio2o.tests.fixtures.cloud import GatewayFixture

#: Emulated pods answer at once, so short intervals are enough.
QUICK = {'quota.watch_seconds': 0.1, 'quota.claim_seconds': 300.0}


class QuotaCase(testtools.TestCase):
    """Two pods in two zones; nothing is limited but what ``limits`` says."""

    pods = 2
    limits = {}
    options = {}

    def setUp(self):
        super().setUp()
        options = {**QUICK, **self.options, **{f'quota.{name}': limit for name, limit in self.limits.items()}}
        self.cloud = self.useFixture(GatewayFixture(self.pods, run_jobs=True, **options))
        self.db = self.cloud.runtime.db
        self.project = self.cloud.project_id('demo')
        self.flavor = self.make_flavor('f1', vcpus=2, ram=512)

    def make_flavor(self, name, **sizes):
        body = {'flavor': {'name': name, 'id': name, 'disk': 1, **sizes}}
        answer = self.cloud.nova.post('/flavors', body, as_='admin')
        self.assertEqual(200, answer.status, answer.text)
        return name

    # -- what a tenant does --

    def boot(self, status=202, zone=None, flavor='f1', as_='demo', **given):
        body = {'name': 's', 'flavorRef': flavor, 'imageRef': self.cloud.lab.image['id'], **given}
        if zone:
            body['availability_zone'] = zone
        answer = self.cloud.nova.post('/servers', {'server': body}, as_=as_)
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def server(self, **given):
        return self.boot(**given)['server']['id']

    def make_volume(self, status=202, size=1, zone=None, as_='demo', **given):
        body = {'size': size, **given}
        if zone:
            body['availability_zone'] = zone
        answer = self.cloud.cinder.post('/volumes', {'volume': body}, as_=as_, version='3.60')
        self.assertEqual(status, answer.status, answer.text)
        return answer

    def volume(self, **given):
        return self.make_volume(**given)['volume']['id']

    # -- what is counted --

    def used(self, project=None):
        """{resource: (in use, claimed)} without those that are 0."""
        rows = quotas.usage(self.db, project or self.project)
        return {name: (row.in_use, row.claimed) for name, row in rows.items() if row.in_use or row.claimed}

    def assertUsed(self, project=None, /, **wanted):
        """Assert that the named resources have this use, and that nothing is claimed."""
        used = self.used(project)
        self.assertEqual(wanted, {name: used.get(name, (0, 0))[0] for name in wanted})
        self.assertEqual({}, {name: both[1] for name, both in used.items() if both[1]})

    def claims(self, project=None):
        return quotas.list_claims(self.db, project_id=project or self.project)

    def settle(self, project=None):
        """Settle all open claims of a project."""
        settler = Settler(self.cloud.runtime)
        for claim in self.claims(project):
            settler.settle(claim)
        settler.recount_related()
