# SPDX-License-Identifier: Apache-2.0
"""The dashboard in a real browser.

``TRIO2O_SCREENSHOT=doc/source/admin/images/page.png`` keeps the picture that the documentation shows.
"""

import os

import testtools

from trio2o import concurrency
from trio2o.db import bindings as db_bindings
from trio2o.db import jobs as db_jobs
from trio2o.db import moves as db_moves
from trio2o.db import pod_usages as db_usages
from trio2o.lab.emulated import faults
from trio2o.pods.usage import Amount, Usage
from trio2o.tests.fixtures import browser
from trio2o.tests.fixtures.cloud import GatewayFixture
from trio2o.tests.fixtures.moves import ID, insert_group, insert_move, new_move
from trio2o.tests.fixtures.waiting import wait_until

PNG = b'\x89PNG\r\n\x1a\n'


class BrowserTestCase(testtools.TestCase):
    """The Admin API on a port, with in-process pods; ``self.browser`` has no page open."""

    options = {}
    has_scripts = True

    def setUp(self):
        super().setUp()
        reason = browser.why_not()
        if reason:
            self.skipTest(reason)
        self.cloud = self.useFixture(
            GatewayFixture(pods={'Pod1': 'az1', 'Pod2': 'az1', 'Pod3': 'az2'}, **self.options)
        )
        self.db = self.cloud.runtime.db
        self.cloud.api.get('/pods')
        sock = concurrency.listen('127.0.0.1', 0)
        server = concurrency.WSGIServer(
            sock, self.cloud.lab.apps['gateway.test:19996'], threads=4, keepalive=5, timeout=5
        )
        server.start()
        self.addCleanup(server.stop)
        self.root = f'http://127.0.0.1:{sock.getsockname()[1]}/dashboard'
        self.browser = self.useFixture(browser.Browser(1180, 1480, has_scripts=self.has_scripts))

    def sign_in(self, user='admin', password='secret', project='admin'):
        self.browser.open(self.root)
        self.browser.one('[name=username]').type(user)
        self.browser.one('[name=password]').type(password)
        self.browser.one('[name=project]').type(project)
        self.browser.one('#sign-in').click()

    def fill(self):
        """Add usage, bindings and jobs for the pages to show."""
        ids = self.cloud.pod_ids
        for name, used in (('Pod1', 0.31), ('Pod2', 0.84), ('Pod3', 0.97)):
            amounts = {
                'VCPU': _amount(2048, used),
                'MEMORY_MB': _amount(8 << 20, used * 0.8),
                'DISK_GB': _amount(120000, used * 0.5),
            }
            db_usages.set_(self.db, ids[name], 'compute', Usage(None, amounts).to_json())
            volumes = Usage(None, {'gigabytes': _amount(500000, used * 0.6)}).to_json()
            db_usages.set_(self.db, ids[name], 'volume', volumes)
        for project, pod, zone in (('demo', 'Pod1', 'az1'), ('alt', 'Pod2', 'az1'), ('demo', 'Pod3', 'az2')):
            db_bindings.create(self.db, tenant_id=self.cloud.project_id(project), pod_id=ids[pod], az_name=zone)
        for pod_id in (ids['Pod1'], ids['Pod2']):
            job = next(job for job in db_jobs.list_(self.db) if job.resource_key == pod_id)
            db_jobs.claim_id(self.db, job.id, 'worker', 60)
            db_jobs.finish(self.db, job.id, 'worker', 'success')
        job = next(job for job in db_jobs.list_(self.db) if job.resource_key == ids['Pod3'])
        db_jobs.claim_id(self.db, job.id, 'worker', 60)
        db_jobs.finish(self.db, job.id, 'worker', 'fail', 'pod Pod3: compute not reached: ConnectTimeoutError')


def _amount(capacity, share):
    used = round(capacity * share)
    return Amount(capacity, used, capacity - used, capacity - used)


class TestPage(BrowserTestCase):
    options = {'dashboard': {'probe_seconds': 0}, 'pods.breaker_failures': 100}

    def test_overview_shows_two_pods_ok_and_one_critical(self):
        self.fill()
        for service in self.cloud.pod('Pod3').each():
            service.faults.add(faults.Refuse())
        self.sign_in()
        self.assertEqual('RegionOne - Trio2o', self.browser.title)
        self.assertEqual(self.root, self.browser.url)
        zones = {zone.attribute('aria-label'): zone for zone in self.browser.all('.zone')}
        self.assertEqual({'Zone az1', 'Zone az2'}, set(zones))
        cards = {card.text.split()[0]: card for card in self.browser.all('.pod')}
        self.assertEqual({'Pod1', 'Pod2', 'Pod3'}, set(cards))
        self.assertIn('well', cards['Pod1'].text)
        self.assertIn('critical', cards['Pod3'].text)
        self.assertIn('compute not reached', cards['Pod3'].text)
        self.assertIn('volume not reached', cards['Pod3'].text)
        # The style applies: the unreachable pod has another colour than the others.
        colours = {name: card.css('border-top-color') for name, card in cards.items()}
        self.assertEqual(colours['Pod1'], colours['Pod2'])
        self.assertNotEqual(colours['Pod1'], colours['Pod3'])
        # The length of a bar is the used share.
        bar = self.browser.all('.pod:first-of-type .bar')[0]
        track, fill = (
            self.browser.all('.pod:first-of-type .bar rect.track')[0].box,
            self.browser.all('.pod:first-of-type .bar rect.ok')[0].box,
        )
        self.assertIn('635 of 2,048', bar.text)
        self.assertAlmostEqual(0.31, fill['width'] / track['width'], delta=0.02)
        self.assertIn('sync_pod', self.browser.one('section.jobs').text)
        self.assertIn('ConnectTimeoutError', self.browser.one('section.jobs').text)
        self.assertEqual([], self.browser.complaints())
        picture = self.browser.picture('body')
        self.assertEqual(PNG, picture[:8])
        kept = os.environ.get('TRIO2O_SCREENSHOT')
        if kept:
            with open(kept, 'wb') as file:
                file.write(picture)

    def test_links_lead_to_lists_and_pods(self):
        self.fill()
        self.sign_in()
        for name, words in (
            ('Moves', 'There are none'),
            ('Groups of moves', 'There are none'),
            ('Bindings', 'Since'),
            ('Jobs', 'Submitted'),
            ('Replicas', 'There are none'),
        ):
            link = next(link for link in self.browser.all('nav a') if link.text == name)
            link.click()
            self.assertIn(words, self.browser.one('main').text)
        self.browser.open(self.root)
        self.browser.all('.pod h3 a')[0].click()
        self.assertIn('Changes of state', self.browser.one('main').text)
        self.assertEqual([], self.browser.complaints())

    def test_move_is_paused_and_confirmed_by_buttons(self):
        ids = self.cloud.pod_ids
        insert_move(self.db, new_move(ID, ids['Pod1'], ids['Pod2'], steps_done=3, steps_total=12))
        self.sign_in()
        next(link for link in self.browser.all('nav a') if link.text == 'Moves').click()
        track, fill = (self.browser.one(f'.move rect{name}').box for name in ('.track', ':not(.track)'))
        self.assertAlmostEqual(0.25, fill['width'] / track['width'], delta=0.02)
        self.browser.one('button[value=pause]').click()
        self.assertIn('paused', self.browser.one('.move').text)
        db_moves.update(self.db, ID, state='switched', hold='')
        self.browser.open(f'{self.root}/moves')
        # What cannot be taken back needs two clicks.
        summary = next(each for each in self.browser.all('summary') if each.text == 'confirm')
        summary.press()
        self.browser.one('button[value=confirm]').click()
        self.assertIn('confirming', self.browser.one('.move').text)
        self.assertEqual([], self.browser.complaints())

    def test_group_of_moves_is_paused_and_reverted_by_buttons(self):
        members = ['moved', 'failed', 'switched', 'waiting']
        insert_group(self.db, 'drain', members, members, source_pod_id=self.cloud.pod_ids['Pod1'], percent=75)
        self.sign_in()
        self.browser.all('.pod h3 a')[0].click()
        next(link for link in self.browser.all('dd a') if 'running' in link.text).click()
        self.assertIn('drain of Pod1', self.browser.one('h3').text)
        track, fill = (self.browser.one(f'.move rect{name}').box for name in ('.track', ':not(.track)'))
        self.assertAlmostEqual(0.75, fill['width'] / track['width'], delta=0.02)
        next(link for link in self.browser.all('.filters a') if link.text == '1 failed').click()
        self.assertEqual(1, len(self.browser.all('.members tbody tr')))
        self.browser.one('button[value=pause]').click()
        self.assertIn('An operator has paused it.', self.browser.one('.trouble').text)
        self.assertEqual(4, len(self.browser.all('.members tbody tr')))
        next(each for each in self.browser.all('summary') if each.text == 'revert').press()
        self.browser.one('button[value=revert]').click()
        self.assertIn('reverting', self.browser.one('.move').text)
        self.assertEqual([], self.browser.complaints())

    def test_cookie_is_http_only_and_deleted_at_sign_out(self):
        self.sign_in()
        cookie = self.browser.cookies['trio2o_token']
        self.assertTrue(cookie['httpOnly'])
        self.assertEqual('Strict', cookie['sameSite'])
        self.browser.one('header button').click()
        self.assertEqual(f'{self.root}/login', self.browser.url)
        self.assertNotIn('trio2o_token', self.browser.cookies)
        self.browser.open(self.root)
        self.assertEqual(f'{self.root}/login', self.browser.url)

    def test_member_is_not_allowed_to_see_pods(self):
        self.sign_in('demo', project='demo')
        self.assertIn('You are not allowed to see this page', self.browser.one('main').text)
        self.assertEqual([], self.browser.all('.pod'))

    def test_wrong_password_is_refused(self):
        self.sign_in(password='guess')
        self.assertIn('Keystone does not know', self.browser.one('[role=alert]').text)

    def test_token_signs_in(self):
        self.browser.open(self.root)
        self.browser.one('[name=token]').type(self.cloud.token('admin'))
        self.browser.one('#use-token').click()
        self.assertEqual(3, len(self.browser.all('.pod')))


class TestRefresh(BrowserTestCase):
    options = {'dashboard': {'probe_seconds': 0, 'refresh_seconds': 2}, 'pods.breaker_failures': 100}

    def levels(self):
        """Numbers of pods that are ok and critical; None while a page loads."""
        try:
            return len(self.browser.all('.pod.ok')), len(self.browser.all('.pod.critical'))
        except AssertionError:
            return None

    def test_page_reloads_and_shows_repaired_pod(self):
        """The page reloads without a click."""
        fault = faults.Refuse()
        self.cloud.pod('Pod3').nova.faults.add(fault)
        self.sign_in()
        wait_until(lambda: self.levels() == (2, 1), 30, 'no pod is critical')
        self.cloud.pod('Pod3').nova.faults.remove(fault)
        wait_until(lambda: self.levels() == (3, 0), 30, 'the page still shows a critical pod')


class TestWithoutScripts(BrowserTestCase):
    has_scripts = False

    def test_page_works_without_scripts(self):
        self.sign_in()
        self.assertEqual(3, len(self.browser.all('.pod.ok')))
        self.browser.one('header button').click()
        self.assertEqual(f'{self.root}/login', self.browser.url)
