# SPDX-License-Identifier: Apache-2.0
"""The programs accept the sample files under etc/."""

import configparser
import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import threading

import testtools

from trio2o.lab.ports import free_ports
from trio2o.tests.fixtures.conf import ConfFixture
from trio2o.tests.fixtures.samples import BIN, ETC, program
from trio2o.tests.fixtures.waiting import wait_until

START_SECONDS = 90
APACHE_MODULES = pathlib.Path('/usr/lib/apache2/modules')


def check(test, *command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, **options)
    test.assertEqual(0, done.returncode, done.stdout + done.stderr)
    return done.stdout + done.stderr


class SamplesTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.conf = self.useFixture(ConfFixture())
        self.folder = pathlib.Path(self.conf.directory)


class ServedTest(SamplesTest):
    def serve(self, sample, application=None):
        """Start uWSGI with a sample, on a free port and with the configuration of the test.

        :param application: text of a module to serve instead of the service
        :returns: the port
        """
        (port,) = free_ports(1)
        text = (ETC / 'uwsgi' / sample).read_text()
        text, changed = re.subn(r'^http-socket = .*$', f'http-socket = 127.0.0.1:{port}', text, flags=re.MULTILINE)
        self.assertEqual(1, changed)
        # Each process loads the service for itself.
        text, changed = re.subn(r'^processes = 2$', 'processes = 1', text, flags=re.MULTILINE)
        self.assertEqual(1, changed)
        if application is not None:
            (self.folder / 'echo.py').write_text(application)
            text = re.sub(r'^module = .*$', f'pythonpath = {self.folder}\nmodule = echo', text, flags=re.MULTILINE)
        ini = self.folder / sample
        ini.write_text(text)
        environment = {'OS_TRIO2O_CONFIG_FILES': self.conf.path, 'PATH': f'{BIN}:/usr/bin:/bin'}
        log = self.folder / f'{sample}.log'
        with open(log, 'w') as out:
            process = subprocess.Popen(
                [program(self, 'uwsgi'), '--ini', ini], env=environment, stdout=out, stderr=subprocess.STDOUT
            )
        self.addCleanup(process.wait, 60)
        self.addCleanup(process.terminate)
        self.await_health(port, process, log)
        return port

    def await_health(self, port, process, log):
        def is_up():
            self.assertIsNone(process.poll(), log.read_text())
            try:
                return self.get(port, '/healthcheck')[0] == 200
            except OSError:
                return False

        wait_until(is_up, START_SECONDS, log.read_text)

    def get(self, port, path, tls=None):
        """:returns: status and body; :param tls: SSL context that checks the certificate"""
        if tls is None:
            connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
        else:
            connection = http.client.HTTPSConnection('localhost', port, timeout=10, context=tls)
        try:
            connection.request('GET', path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


#: Answers with the body of the request.
ECHO = """
import uwsgi
from trio2o.wsgi.load import UwsgiBodies

def echo(environ, start_response):
    body = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
    start_response('200 OK', [('Content-Length', str(len(body)))])
    return [body]

application = UwsgiBodies(echo, uwsgi, 0.3, 1000)
"""


def _trickle(sock, stopped):
    """Send a few bytes at a time until the other side closes the connection."""
    while not stopped.wait(0.05):
        try:
            sock.sendall(b'x' * 8)
        except OSError:
            return


class TestUwsgi(ServedTest):
    def check_service(self, sample, version):
        """:returns: the port"""
        port = self.serve(sample)
        status, body = self.get(port, '/')
        self.assertIn(status, (200, 300))
        self.assertIn(version, [found['id'] for found in json.loads(body)['versions']])
        # Other paths than the version documents need a token.
        self.assertEqual(401, self.get(port, f'/{version}/anything')[0])
        return port

    def test_api_is_served_by_uwsgi_and_log_file_has_name_of_service(self):
        """The name of the log file is that of the service, not of uWSGI."""
        logs = self.folder / 'log'
        logs.mkdir()
        self.conf = self.useFixture(ConfFixture(log_dir=str(logs)))
        port = self.check_service('trio2o-api.ini', 'v1.0')
        self.assertEqual(401, self.get(port, '/v1.0/pods')[0])
        self.assertEqual(['trio2o-api.log'], [each.name for each in logs.iterdir()])
        self.assertIn('GET /v1.0/pods', (logs / 'trio2o-api.log').read_text())

    def test_nova_apigw_is_served_by_uwsgi(self):
        self.check_service('trio2o-nova-apigw.ini', 'v2.1')

    def test_bodies_are_read_under_uwsgi_and_slow_ones_answered_408(self):
        port = self.serve('trio2o-nova-apigw.ini', ECHO)
        large = b'x' * 1000
        for body, chunked in ((b'body', False), (iter([b'ab', b'c']), True), (iter([large]), True), (large, False)):
            connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
            self.addCleanup(connection.close)
            connection.request('POST', '/', body, encode_chunked=chunked)
            self.assertIn(connection.getresponse().read(), (b'body', b'abc', large))
        slow = socket.create_connection(('127.0.0.1', port), timeout=20)
        self.addCleanup(slow.close)
        slow.sendall(b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n' + b'x' * 32)
        stopped = threading.Event()
        self.addCleanup(stopped.set)
        threading.Thread(target=_trickle, args=(slow, stopped), daemon=True).start()
        self.assertIn(b' 408', slow.recv(12))

    def test_cinder_apigw_is_served_by_uwsgi(self):
        port = self.serve('trio2o-cinder-apigw.ini')
        status, body = self.get(port, '/')
        self.assertIn(status, (200, 300))
        self.assertEqual(['v3.0'], [found['id'] for found in json.loads(body)['versions']])
        self.assertEqual(401, self.get(port, '/v3/anything')[0])


class TestSystemd(SamplesTest):
    def test_units_are_accepted_by_systemd(self):
        verifier = program(self, 'systemd-analyze')
        for sample in sorted((ETC / 'systemd').iterdir()):
            text = sample.read_text()
            # The path of the programs in the install guide.
            command = re.search(r'^ExecStart=/opt/trio2o/bin/(\S+)', text, re.MULTILINE).group(1)
            unit = self.folder / sample.name
            unit.write_text(text.replace(f'/opt/trio2o/bin/{command}', str(BIN / command)))
            self.assertNotIn('Unknown', check(self, verifier, 'verify', unit))

    def test_units_may_write_state_logs_and_metrics_only(self):
        """Services may write only state, logs and the shared metrics."""
        for sample in sorted((ETC / 'systemd').iterdir()):
            unit = configparser.RawConfigParser()
            unit.read(sample)
            service = unit['Service']
            self.assertEqual('strict', service['ProtectSystem'])
            self.assertEqual(('trio2o', 'trio2o'), (service['StateDirectory'], service['LogsDirectory']), sample.name)
            environment = service.get('Environment', '')
            if 'PROMETHEUS_MULTIPROC_DIR' in environment:
                self.assertEqual(f'PROMETHEUS_MULTIPROC_DIR=/run/{service["RuntimeDirectory"]}', environment)
            else:
                self.assertIn('xjob', sample.name)

    def test_uwsgi_files_of_units_exist(self):
        """The uWSGI samples that units name exist."""
        for sample in sorted((ETC / 'systemd').iterdir()):
            for name in re.findall(r'/etc/trio2o/(uwsgi/\S+)', sample.read_text()):
                self.assertTrue((ETC / name).is_file(), name)


class TestApache(ServedTest):
    """Apache in front of the gateway, with the sample."""

    def setUp(self):
        super().setUp()
        self.apache = program(self, 'apache2', 'httpd')
        if not APACHE_MODULES.is_dir():
            self.skipTest('the modules of Apache are not where Debian has them')
        self.folder.chmod(0o755)

    def certificate(self):
        key, certificate = self.folder / 'trio2o.pem', self.folder / 'certificate.pem'
        check(
            self,
            program(self, 'openssl'),
            *('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-days', '1'),
            *('-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', certificate),
        )
        key.write_text(key.read_text() + certificate.read_text())
        return key, certificate

    def configure(self, backend):
        """Write a configuration of Apache that contains the sample, on free ports.

        :returns: the file, the port of the Compute API, and the SSL context that checks its certificate
        """
        key, certificate = self.certificate()
        site = (ETC / 'apache' / 'trio2o.conf').read_text().replace('/etc/trio2o/tls/trio2o.pem', str(key))
        ports = dict(zip(('8774', '8776', '29996'), free_ports(3), strict=True))
        for name, port in ports.items():
            self.assertIn(f'Listen {name}\n', site)
            site = site.replace(f'Listen {name}\n', f'Listen 127.0.0.1:{port}\n').replace(f'*:{name}>', f'*:{port}>')
        self.assertIn('http://127.0.0.1:19998/', site)
        site = site.replace('http://127.0.0.1:19998/', f'http://127.0.0.1:{backend}/')
        modules = ('mpm_event', 'authz_core', 'log_config', 'socache_shmcb', 'ssl', 'headers', 'proxy', 'proxy_http')
        lines = [
            f'LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so'
            for name in modules
            if (APACHE_MODULES / f'mod_{name}.so').exists()
        ]
        lines += [
            f'Define APACHE_LOG_DIR {self.folder}',
            f'ErrorLog {self.folder}/error.log',
            'ServerName trio2o.test',
            'LogFormat "%h %l %u %t \\"%r\\" %>s %b" combined',
            f'PidFile {self.folder}/apache.pid',
            f'DefaultRuntimeDir {self.folder}',
        ]
        if os.geteuid() == 0:
            lines += ['User nobody', 'Group nogroup']
        main = self.folder / 'apache.conf'
        main.write_text('\n'.join([*lines, site, '']))
        return main, ports['8774'], ssl.create_default_context(cafile=str(certificate))

    def test_apache_serves_gateway_over_tls_and_hides_metrics(self):
        main, port, tls = self.configure(self.serve('trio2o-nova-apigw.ini'))
        self.assertIn('Syntax OK', check(self, self.apache, '-t', '-f', main))
        process = subprocess.Popen([self.apache, '-DFOREGROUND', '-f', main], stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait, 60)
        self.addCleanup(process.terminate)

        def read_versions():
            self.assertIsNone(process.poll(), 'Apache ended')
            try:
                return self.get(port, '/', tls)
            except OSError:
                return None

        status, body = wait_until(read_versions, START_SECONDS, 'Apache does not answer')
        self.assertEqual(200, status)
        # Links have the address that the client used.
        self.assertIn(f'https://localhost:{port}/v2.1/'.encode(), body)
        self.assertEqual(401, self.get(port, '/v2.1/servers', tls)[0])
        # An escaped slash is part of a name: it reaches the gateway, which requires a token.
        self.assertEqual(401, self.get(port, '/v2.1/servers/a%2Fb', tls)[0])
        # Metrics are hidden, however the path is written.
        for path in ('/metrics', '/metrics/', '/%6detrics', '//metrics', '/./metrics', '/metrics?x=1'):
            status, body = self.get(port, path, tls)
            self.assertIn(status, (403, 404), path)
            self.assertNotIn(b'trio2o_', body)


class TestLogrotate(SamplesTest):
    def test_log_is_rotated_and_continued(self):
        """A log is rotated, and the service continues to write to the same file."""
        logs = self.folder / 'log'
        logs.mkdir(mode=0o755)
        log = logs / 'trio2o-xjob.log'
        log.write_text('before\n')
        sample = self.folder / 'logrotate'
        sample.write_text((ETC / 'logrotate' / 'trio2o').read_text().replace('/var/log/trio2o', str(logs)))
        sample.chmod(0o644)
        command = (program(self, 'logrotate'), '--state', self.folder / 'state')
        check(self, *command, '-d', sample)
        with open(log, 'a') as writer:
            check(self, *command, '--force', sample)
            writer.write('after\n')
        self.assertEqual('after\n', log.read_text())
        self.assertEqual('before\n', (logs / 'trio2o-xjob.log.1').read_text())
