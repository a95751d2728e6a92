# SPDX-License-Identifier: Apache-2.0
"""The answers of the dashboard."""

import io
import logging
import os
import re

import fixtures
import webob

from trio2o import api as admin_api
from trio2o.db import bindings as db_bindings
from trio2o.db import jobs as db_jobs
from trio2o.db import pod_usages as db_usages
from trio2o.lab.emulated import faults
from trio2o.pods.usage import Amount, Usage
from trio2o.runtime import build_runtime
from trio2o.tests.fixtures.cloud import Client
from trio2o.tests.functional.dashboard.base import ROOT, PageTestCase, Visitor

PATHS = ('', '/bindings', '/moves', '/jobs', '/replicas', '/pods/{pod}')


class TestSignIn(PageTestCase):
    def test_page_without_sign_in_redirects_to_form(self):
        for path in PATHS:
            answer = self.visitor.get(path, follow=False)
            self.assertEqual((303, '/dashboard/login'), (answer.status, answer.headers['Location']), path)
        self.assertIn('Sign in', self.shown(self.visitor.get()))

    def test_password_signs_in(self):
        answer = self.visitor.sign_in()
        self.assertEqual(200, answer.status)
        text = self.shown(answer)
        self.assertIn('admin in admin', text)
        for name in ('Pod1', 'Pod2', 'Pod3', 'az1', 'az2', 'az3'):
            self.assertIn(name, text)

    def test_wrong_password_is_401_and_not_shown(self):
        answer = self.visitor.sign_in(password='guess<b>')
        self.assertEqual(401, answer.status)
        self.assertIn('Keystone does not know this user, password and scope.', self.shown(answer))
        self.assertNotIn('guess', answer.text)
        self.assertIn('value="admin"', answer.text)
        self.assertNotIn('trio2o_token', self.visitor.cookies)

    def test_project_of_others_is_401(self):
        self.assertEqual(401, self.visitor.sign_in('demo', project='admin').status)

    def test_token_signs_in(self):
        answer = self.visitor.use_token(self.cloud.token('admin'))
        self.assertEqual(200, answer.status)
        self.assertIn('Pod1', self.shown(answer))

    def test_invalid_token_is_401_and_not_shown(self):
        for token in ('gAAAAnonsense', 'with blank', 'a;b=cccccccc', 'x' * 5000, 'line\r\nSet-Cookie: a=b'):
            answer = self.visitor.use_token(token)
            self.assertEqual(401, answer.status, token[:20])
            self.assertNotIn('trio2o_token', self.visitor.cookies)
            self.assertNotIn(token, answer.text)

    def test_system_scope_is_requested_from_keystone(self):
        self.visitor.sign_in(scope='system')
        sent = [seen.json['auth'] for seen in self.cloud.lab.keystone.requests if seen.method == 'POST']
        # The gateway also signs in, with its own account.
        (auth,) = [auth for auth in sent if auth['identity']['password']['user']['name'] == 'admin']
        self.assertEqual({'system': {'all': True}}, auth['scope'])

    def test_keystone_is_unavailable_and_sign_in_is_503(self):
        self.visitor.get()
        self.cloud.lab.keystone.faults.add(faults.Status(503))
        answer = self.visitor.sign_in()
        self.assertEqual(503, answer.status)
        self.assertIn('Keystone gave no', self.shown(answer))

    def test_members_and_readers_get_403(self):
        for user in ('demo', 'reader'):
            visitor = Visitor(self.cloud.api)
            answer = visitor.sign_in(user, project='demo')
            self.assertEqual(403, answer.status)
            self.assertIn('You are not allowed to see this page', self.shown(answer))
            for path in PATHS:
                answer = visitor.get(path.format(pod=self.cloud.pod_ids['Pod1']))
                self.assertEqual(403, answer.status, path)
                self.assertNotIn('Pod2', answer.text)

    def test_revoked_token_signs_the_user_out(self):
        token = self.cloud.lab.token('admin')
        self.assertEqual(200, self.visitor.use_token(token).status)
        self.cloud.lab.keystone.revoke(token)
        runtime = build_runtime(
            self.cloud.conf, transport=self.cloud.transport, identity_transport=self.cloud.lab.adapter()
        )
        other = Client(self.cloud, ROOT, '').mount(self.cloud.build(admin_api.SERVICE, runtime))
        self.visitor._api = other
        answer = self.visitor.get(follow=False)
        self.assertEqual(303, answer.status)
        self.assertNotIn('trio2o_token', self.visitor.cookies)


class TestSignOut(PageTestCase):
    def out(self):
        return self.visitor.post('/logout', {'form': self.visitor.cookies['trio2o_form']})

    def test_sign_out_deletes_cookie_and_revokes_token(self):
        self.visitor.sign_in()
        token = self.visitor.cookies['trio2o_token'].removeprefix('made:')
        self.assertIsNotNone(self.cloud.lab.keystone.find(token))
        self.assertIn('Sign in', self.shown(self.out()))
        self.assertNotIn('trio2o_token', self.visitor.cookies)
        self.assertIsNone(self.cloud.lab.keystone.find(token))

    def test_sign_out_does_not_revoke_given_token(self):
        token = self.cloud.lab.token('admin')
        self.visitor.use_token(token)
        self.out()
        self.assertNotIn('trio2o_token', self.visitor.cookies)
        self.assertIsNotNone(self.cloud.lab.keystone.find(token))

    def test_keystone_is_unavailable_and_sign_out_succeeds(self):
        self.visitor.sign_in()
        self.cloud.lab.keystone.faults.add(faults.Status(503))
        self.assertIn('Sign in', self.shown(self.out()))


class TestSecurity(PageTestCase):
    def test_cookies_are_http_only_and_same_site(self):
        answer = self.visitor.sign_in(follow=False)
        cookies = answer.headers.get_all('Set-Cookie')
        self.assertEqual(2, len(cookies))
        for cookie in cookies:
            words = cookie.split('; ')[1:]
            self.assertEqual(['Path=/dashboard', 'HttpOnly', 'SameSite=Strict'], words)

    def test_forms_of_other_sites_are_refused_with_403(self):
        secret = self.visitor.secret()
        form = {'username': 'admin', 'password': 'secret', 'project': 'admin'}
        for more, headers in (
            ({}, {}),
            ({'form': 'x' * 43}, {}),
            ({'form': ''}, {}),
            ({'form': 'ü'}, {}),
            ({'form': secret}, {'Sec-Fetch-Site': 'cross-site'}),
            ({'form': secret}, {'Sec-Fetch-Site': 'none'}),
            ({'form': secret}, {'Sec-Fetch-Site': 'same-site', 'Origin': ROOT}),
            # Without TLS, browsers send only the origin.
            ({'form': secret}, {'Origin': 'http://elsewhere.test'}),
            ({'form': secret}, {'Origin': 'null'}),
            ({'form': secret}, {'Origin': ''}),
            ({'form': secret}, {'Origin': 'http://[::1'}),
        ):
            answer = self.visitor.post('/login', {**form, **more}, headers=headers)
            self.assertEqual(403, answer.status, (more, headers))
            self.assertNotIn('trio2o_token', self.visitor.cookies)
        for headers in ({}, {'Origin': ROOT}):
            answer = self.visitor.post('/login', {**form, 'form': self.visitor.secret()}, headers=headers)
            self.assertEqual(200, answer.status, headers)
        self.assertEqual(403, self.visitor.post('/logout', {}).status)
        self.assertIn('trio2o_token', self.visitor.cookies)

    def test_malformed_form_is_refused(self):
        secret = self.visitor.secret()
        for body, kind in ((b'{}', 'application/json'), (b'\xff=\xff', None), (b'a=' + b'x' * 20000, None)):
            headers = {'Content-Type': kind} if kind else {}
            answer = self.visitor.post('/login', body, headers=headers)
            self.assertIn(answer.status, (400, 403), body[:9])
        self.assertEqual(401, self.visitor.post('/login', {'form': secret}).status)

    def test_query_with_too_many_fields_is_400(self):
        self.visitor.sign_in()
        for path in PATHS[1:]:
            answer = self.visitor.get(path.format(pod='x') + '?' + '&'.join(['a=1'] * 22))
            self.assertIn(answer.status, (400, 404) if 'pod' in path else (400,), path)
            self.assertIn('Content-Security-Policy', answer.headers)

    def test_other_bodies_are_not_read(self):
        app = self.cloud.lab.apps['gateway.test:19996']
        for kind in ('application/json', 'multipart/form-data; boundary=x', 'application/x-www-form-urlencoded'):
            for method, path, status in (
                ('GET', '/login', 200),
                ('HEAD', '/login', 200),
                ('POST', '/login', 400),
                ('POST', '/jobs', 405),
                ('DELETE', '/jobs', 405),
            ):
                body = io.BytesIO(b' ' * 20000)
                request = webob.Request.blank(f'/dashboard{path}', method=method, content_type=kind)
                request.environ.update({'wsgi.input': body, 'CONTENT_LENGTH': '20000'})
                self.assertEqual(status, request.get_response(app).status_int, (method, path, kind))
                self.assertEqual(0, body.tell(), (method, path, kind))

    def test_page_is_html_for_any_accept_header(self):
        for accept in ('application/json', 'image/png', ''):
            answer = self.visitor.get('/login?state=%ff', headers={'Accept': accept})
            self.assertEqual(200, answer.status, accept)
            self.assertIn('Sign in', self.shown(answer))

    def test_headers_forbid_scripts_frames_and_caching(self):
        for path in ('/login', '/style.css', '/icon.svg', '/nowhere'):
            headers = self.visitor.get(path).headers
            policy = headers['Content-Security-Policy']
            self.assertIn("default-src 'none'", policy)
            self.assertNotIn('unsafe', policy)
            self.assertNotIn('script-src', policy)
            self.assertEqual('no-store', headers['Cache-Control'])
            self.assertEqual('nosniff', headers['X-Content-Type-Options'])
            self.assertEqual('DENY', headers['X-Frame-Options'])

    def test_pages_have_no_scripts_and_no_inline_styles(self):
        self.visitor.sign_in()
        for path in PATHS:
            text = self.visitor.get(path.format(pod=self.cloud.pod_ids['Pod1'])).text
            self.assertNotRegex(text, '(?i)<script|<style|style=| on[a-z]+=|javascript:')

    def test_text_of_users_is_escaped(self):
        self.cloud.set_pod('Pod1', state='disabled', reason='<script>alert(1)</script>&"\'')
        self.visitor.sign_in()
        for path in ('', f'/pods/{self.cloud.pod_ids["Pod1"]}'):
            text = self.visitor.get(path).text
            self.assertIn('&lt;script&gt;alert(1)&lt;/script&gt;&amp;', text)
            self.assertNotIn('<script', text)

    def test_tokens_and_passwords_are_neither_in_urls_nor_logged(self):
        logged = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.visitor.sign_in()
        token = self.visitor.cookies['trio2o_token'].removeprefix('made:')
        for path in PATHS:
            page = self.visitor.get(path.format(pod=self.cloud.pod_ids['Pod1']))
            self.assertNotIn(token, page.text)
        self.visitor.post('/logout', {'form': self.visitor.cookies['trio2o_form']})
        self.assertTrue(logged.output)
        for secret in (token, 'secret'):
            self.assertNotIn(secret, logged.output.replace('client_secret', ''))
            self.assertFalse([path for path in self.visitor.asked if secret in path])

    def test_other_method_is_405_with_allow(self):
        self.visitor.sign_in()
        for method, path, allowed in (
            ('POST', '', 'GET, HEAD'),
            ('DELETE', '/jobs', 'GET, HEAD'),
            ('GET', '/logout', 'POST'),
            ('PUT', '/login', 'POST'),
            ('DELETE', '/moves', 'GET, HEAD, POST'),
        ):
            answer = self.visitor.request(method, f'/dashboard{path}')
            self.assertEqual((405, allowed), (answer.status, answer.headers['Allow']), (method, path))
        head = self.visitor.request('HEAD', '/dashboard')
        self.assertEqual((200, b''), (head.status, head.body))

    def test_unknown_path_is_404(self):
        self.visitor.sign_in()
        for path in ('/nowhere', '/pods/nowhere', '/pods/', '/pods/a/b', '/../v1.0/pods', '/jobs/x'):
            self.assertEqual(404, self.visitor.get(path).status, path)
        # Names of attributes of controllers.
        for path in (
            '/index',
            '/jobs/index',
            '/sign_in',
            '/steer_move',
            '/style',
            '/_runtime',
            '/__class__/jobs',
            '/style/__self__/jobs',
        ):
            self.assertEqual(404, self.visitor.get(path).status, path)
        # Paths that begin or end like one of a page, and bytes that are no text.
        for path in (f'/pods//{self.cloud.pod_ids["Pod1"]}', '//jobs', '/jobs.json', '/pods/%FF', '/pods/%E2%82%AC'):
            self.assertEqual(404, self.visitor.get(path).status, path)
        self.assertEqual(405, self.visitor.request('POST', '/dashboard/nowhere').status)
        self.assertEqual(400, self.visitor.get('/jobs?state=odd').status)
        self.assertEqual(404, self.visitor.request('GET', '/dashboards').status)

    def test_malformed_cookie_redirects_to_form(self):
        for cookies in ('trio2o_token=made:x', 'trio2o_token', '=;;', 'trio2o_token=other:gAAAAxxxxxxxx', '\x00'):
            answer = self.visitor.get('/jobs', headers={'Cookie': cookies}, follow=False)
            self.assertEqual(303, answer.status, cookies)


class TestOverHttp(PageTestCase):
    options = {'dashboard': {'allow_http': False}}

    def assert_refused(self, answer):
        self.assertEqual(403, answer.status)
        self.assertIn('The dashboard needs https', self.shown(answer))
        self.assertNotIn('<input', answer.text)

    def test_pages_and_form_are_403_without_cookies(self):
        for path in (*PATHS, '/login', '/nowhere'):
            answer = self.visitor.get(path.format(pod=self.cloud.pod_ids['Pod1']), follow=False)
            self.assert_refused(answer)
            self.assertEqual([], answer.headers.get_all('Set-Cookie'))
        self.assertEqual(200, self.visitor.get('/style.css').status)

    def test_password_and_token_are_not_used(self):
        self.visitor.cookies['trio2o_form'] = secret = 'x' * 43
        self.cloud.api.get('/pods')
        self.cloud.lab.keystone.requests.clear()
        for form in (
            {'username': 'admin', 'password': 'secret', 'project': 'admin'},
            {'token': self.cloud.token('admin')},
        ):
            self.assert_refused(self.visitor.post('/login', {'form': secret, **form}))
            self.assertNotIn('trio2o_token', self.visitor.cookies)
        self.assertEqual([], [seen for seen in self.cloud.lab.keystone.requests if b'"admin"' in seen.body])

    def test_token_in_cookie_is_deleted(self):
        self.visitor.cookies['trio2o_token'] = f'made:{self.cloud.token("admin")}'
        self.assert_refused(self.visitor.get())
        self.assertNotIn('trio2o_token', self.visitor.cookies)

    def test_headers_of_unknown_proxy_are_not_believed(self):
        for headers in ({'X-Forwarded-Proto': 'https'}, {'Forwarded': 'proto=https'}):
            self.assert_refused(self.visitor.get('/login', headers=headers))


class TestBehindProxy(PageTestCase):
    options = {
        'dashboard': {'allow_http': False},
        'oslo_middleware': {'enable_proxy_headers_parsing': True},
        # The headers count more: they say what this one browser uses.
        'api': {'public_endpoint': 'https://cloud.example.org/trio2o'},
    }

    def test_cookies_over_tls_are_secure(self):
        for headers in ({'X-Forwarded-Proto': 'https'}, {'Forwarded': 'for=192.0.2.1;proto=https'}):
            visitor = Visitor(self.cloud.api, headers=headers)
            answer = visitor.sign_in(follow=False)
            self.assertEqual(303, answer.status, headers)
            for cookie in answer.headers.get_all('Set-Cookie'):
                self.assertTrue(cookie.endswith('; Path=/trio2o/dashboard; HttpOnly; SameSite=Strict; Secure'), cookie)
            self.assertIn('Pod1', self.shown(visitor.get()))

    def test_request_without_tls_is_403(self):
        for headers in ({}, {'X-Forwarded-Proto': 'http'}, {'Forwarded': 'for=192.0.2.1;proto=http'}):
            answer = self.visitor.get('/login', headers=headers)
            self.assertEqual(403, answer.status, headers)
            self.assertIn('The dashboard needs https', self.shown(answer))


class TestBelowPrefixOfProxy(PageTestCase):
    options = {'dashboard': {'allow_http': False}, 'oslo_middleware': {'enable_proxy_headers_parsing': True}}

    def test_cookies_and_links_have_prefix(self):
        visitor = Visitor(self.cloud.api, headers={'X-Forwarded-Proto': 'https', 'X-Forwarded-Prefix': '/cloud/admin'})
        answer = visitor.sign_in(follow=False)
        self.assertEqual('/cloud/admin/dashboard', answer.headers['Location'])
        for cookie in answer.headers.get_all('Set-Cookie'):
            self.assertTrue(
                cookie.endswith('; Path=/cloud/admin/dashboard; HttpOnly; SameSite=Strict; Secure'), cookie
            )
        links = re.findall('(?:href|action)="([^"]+)"', visitor.get().text)
        self.assertEqual([], [link for link in links if not link.startswith('/cloud/admin/dashboard')])


class TestBehindTls(PageTestCase):
    options = {
        'dashboard': {'allow_http': False},
        'api': {'public_endpoint': 'https://cloud.example.org/trio2o'},
    }

    def test_cookies_are_secure_and_links_have_prefix(self):
        answer = self.visitor.sign_in(follow=False)
        self.assertEqual('/trio2o/dashboard', answer.headers['Location'])
        for cookie in answer.headers.get_all('Set-Cookie'):
            self.assertTrue(cookie.endswith('; Path=/trio2o/dashboard; HttpOnly; SameSite=Strict; Secure'), cookie)
        links = re.findall('(?:href|action)="([^"]+)"', self.visitor.get().text)
        self.assertEqual([], [link for link in links if not link.startswith('/trio2o/dashboard')])


class TestDisabled(PageTestCase):
    options = {'dashboard': {'enabled': False}}

    def test_disabled_dashboard_is_404(self):
        for path in ('', '/login', '/style.css'):
            self.assertEqual(404, self.visitor.get(path).status)


class TestPolicies(PageTestCase):
    def setUp(self):
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, 'policy.yaml')
        with open(path, 'w') as file:
            file.write('"api:pods.list": "role:reader"\n"api:jobs.list": "role:nobody"\n')
        self.options = {'oslo_policy': {'policy_file': path}}
        super().setUp()

    def test_policy_file_hides_parts_of_page(self):
        answer = self.visitor.sign_in('reader', project='demo')
        self.assertEqual(200, answer.status)
        text = self.shown(answer)
        self.assertIn('Pod1', text)
        self.assertEqual(3, text.count('The policy does not allow you to see these.'))
        self.assertEqual(403, self.visitor.get('/jobs').status)
        admin = Visitor(self.cloud.api)
        self.assertEqual(1, self.shown(admin.sign_in()).count('The policy does not allow you to see'))


class TestPages(PageTestCase):
    options = {'dashboard': {'probe_seconds': 0}, 'pods.breaker_failures': 100}

    def setUp(self):
        super().setUp()
        self.db = self.cloud.runtime.db
        self.visitor.sign_in()

    def card(self, name):
        text = self.visitor.get().text
        start = text.index(f'id="pod-{self.cloud.pod_ids[name]}"')
        article = text[text.rindex('<article', 0, start) : text.index('</article>', start)]
        return article

    def test_overview_shows_two_pods_ok_and_one_critical(self):
        self.cloud.pod('Pod3').nova.faults.add(faults.Refuse())
        for name in ('Pod1', 'Pod2'):
            self.assertIn('class="pod ok"', self.card(name))
        down = self.card('Pod3')
        self.assertIn('class="pod critical"', down)
        self.assertIn('compute not reached', down)
        self.assertIn('no answer', down)
        text = self.shown(self.visitor.get())
        self.assertIn('2 well', text)
        self.assertIn('1 critical', text)

    def test_pod_in_maintenance_is_not_critical(self):
        self.cloud.pod('Pod3').nova.faults.add(faults.Refuse())
        self.cloud.set_pod('Pod3', state='maintenance', reason='new disks')
        self.cloud.runtime.registry.refresh()
        card = self.card('Pod3')
        self.assertIn('class="pod off"', card)
        self.assertIn('maintenance: new disks', card)
        self.assertIn('0 critical', self.shown(self.visitor.get()))

    def test_usage_is_shown_as_bars(self):
        amounts = {
            'VCPU': Amount(100, 96, 4, 4),
            'MEMORY_MB': Amount(102400, 20480, 81920, 1),
            'X': Amount(None, 3, None, None),
        }
        stored = Usage(None, amounts).to_json()
        db_usages.set_(self.db, self.cloud.pod_ids['Pod1'], 'compute', stored)
        card = self.card('Pod1')
        self.assertIn('96 of 100', card)
        self.assertIn('20 of 100 GiB', card)
        self.assertIn('3 used, no limit', card)
        self.assertIn('<rect class="critical" width="96.0"', card)
        self.assertIn('<rect class="ok" width="20.0"', card)
        self.assertIn('capacity and use have not been read', self.card('Pod2'))

    def test_malformed_usage_is_shown_as_missing(self):
        for odd in ({}, [], 'x', {'amounts': 3}, {'amounts': {'VCPU': 1}}, {'amounts': {'VCPU': {'used': None}}}):
            db_usages.set_(self.db, self.cloud.pod_ids['Pod1'], 'compute', odd)
            self.assertIn('capacity and use have not been read', self.card('Pod1'))

    def test_bindings_are_listed_by_pod(self):
        binding = db_bindings.create(self.db, tenant_id='project-7', pod_id=self.cloud.pod_ids['Pod2'], az_name='az2')
        self.assertIn('1 binding,', self.card('Pod2'))
        for path in ('', '/bindings', f'/bindings?pod_id={binding.pod_id}'):
            self.assertIn('project-7 Pod2 az2', self.shown(self.visitor.get(path)))
        self.assertNotIn('project-7', self.visitor.get(f'/bindings?pod_id={self.cloud.pod_ids["Pod1"]}').text)

    def test_jobs_are_listed_by_state(self):
        job = db_jobs.submit(self.db, 'purge_history', 'all', request_id='req-of-job')
        db_jobs.claim_id(self.db, job.id, 'me', 60)
        db_jobs.finish(self.db, job.id, 'me', 'fail', 'it <broke>')
        for path in ('', '/jobs', '/jobs?state=fail'):
            text = self.visitor.get(path).text
            self.assertIn('it &lt;broke&gt;', text, path)
            self.assertIn('req-of-job', text)
        self.assertNotIn('req-of-job', self.visitor.get('/jobs?state=success').text)
        self.assertIn('sync_pod Pod1 new', self.shown(self.visitor.get('/jobs')))

    def test_pages_contain_each_job_once(self):
        for number in range(120):
            db_jobs.submit(self.db, 'purge_history', f'number {number:03}')
        seen, path = [], '/jobs?state=new'
        while path:
            text = self.visitor.get(path).text
            seen += re.findall(r'number \d{3}', text)
            found = re.search(r'href="/dashboard(/jobs\?[^"]*marker=[^"]*)"', text)
            path = found[1].replace('&amp;', '&') if found else None
        self.assertEqual(120, len(seen))
        self.assertEqual(120, len(set(seen)))

    def test_pod_is_shown_with_state_and_endpoints(self):
        self.cloud.set_pod('Pod2', state='draining', reason='old')
        text = self.shown(self.visitor.get(f'/pods/{self.cloud.pod_ids["Pod2"]}'))
        self.assertIn('draining: old', text)
        self.assertIn('http://pod2.nova.test:8774/v2.1', text)
        self.assertRegex(text, r'enabled draining old \w+')

    def test_keystone_is_unavailable_and_pods_are_unknown(self):
        self.visitor.get()
        self.cloud.runtime.identity.forget_token()
        self.cloud.lab.keystone.faults.add(faults.Status(503))
        answer = self.visitor.get()
        self.assertEqual(200, answer.status)
        text = self.shown(answer)
        self.assertIn('Pods could not be checked: Keystone gave no token', text)
        self.assertIn('3 unknown', text)

    def test_overview_reloads_and_form_does_not(self):
        self.assertIn('<meta http-equiv="refresh" content="15">', self.visitor.get().text)
        self.assertNotIn('http-equiv', self.visitor.get('/login').text)


class TestSharedHealth(PageTestCase):
    options = {'dashboard': {'probe_seconds': 60}}

    def test_repeated_views_share_one_health_check(self):
        self.visitor.sign_in()
        self.cloud.lab.clear_logs()
        for _again in range(5):
            self.visitor.get()
        self.assertEqual(0, len(self.cloud.pod('Pod1').nova.requests))
