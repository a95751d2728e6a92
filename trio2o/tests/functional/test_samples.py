# SPDX-License-Identifier: Apache-2.0
"""The sample files under etc/ are of use to the programs they are for."""

import http.client
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

import testtools

from trio2o.tests.fixtures.conf import ConfFixture

ETC = pathlib.Path(__file__).resolve().parents[3] / 'etc'
BIN = pathlib.Path(sys.executable).parent
START_SECONDS = 90
APACHE_MODULES = pathlib.Path('/usr/lib/apache2/modules')


def program(test, *names):
    """Find one of these programs; the test is skipped where none is installed."""
    for name in names:
        found = shutil.which(name, path=':'.join([str(BIN), '/usr/sbin', '/usr/bin', '/bin']))
        if found:
            return found
    return test.skipTest(f'{names[0]} is not installed')


def check(test, *command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, **options)
    test.assertEqual(0, done.returncode, done.stdout + done.stderr)
    return done.stdout + done.stderr


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class SamplesTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.conf = self.useFixture(ConfFixture())
        self.folder = pathlib.Path(self.conf.directory)


class TestUwsgi(SamplesTest):
    def serve(self, sample):
        """Start uWSGI with a sample, on a port and with a configuration of our own.

        :returns: the port
        """
        port = free_port()
        text = (ETC / 'uwsgi' / sample).read_text()
        text, changed = re.subn(r'^http-socket = .*$', f'http-socket = 127.0.0.1:{port}', text, flags=re.MULTILINE)
        self.assertEqual(1, changed)
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
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if self.get(port, '/healthcheck')[0] == 200:
                    return
            except OSError:
                pass
            self.assertIsNone(process.poll(), log.read_text())
            self.assertLess(time.monotonic(), deadline, log.read_text())
            time.sleep(0.2)

    def get(self, port, path):
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
        try:
            connection.request('GET', path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def check_service(self, sample, version):
        port = self.serve(sample)
        status, body = self.get(port, '/')
        self.assertIn(status, (200, 300))
        self.assertIn(version, [found['id'] for found in json.loads(body)['versions']])
        # Past the version documents a token is needed.
        self.assertEqual(401, self.get(port, f'/{version}/anything')[0])

    def test_api(self):
        self.check_service('trio2o-api.ini', 'v1.0')

    def test_nova_apigw(self):
        self.check_service('trio2o-nova-apigw.ini', 'v2.1')

    def test_cinder_apigw(self):
        port = self.serve('trio2o-cinder-apigw.ini')
        status, body = self.get(port, '/')
        self.assertIn(status, (200, 300))
        self.assertEqual(['v3.0'], [found['id'] for found in json.loads(body)['versions']])
        self.assertEqual(401, self.get(port, '/v3/anything')[0])


class TestSystemd(SamplesTest):
    def test_units(self):
        verifier = program(self, 'systemd-analyze')
        for sample in sorted((ETC / 'systemd').iterdir()):
            text = sample.read_text()
            command = re.search(r'^ExecStart=/usr/bin/(\S+)', text, re.MULTILINE).group(1)
            unit = self.folder / sample.name
            # The programs are in a virtual environment here.
            unit.write_text(text.replace(f'/usr/bin/{command}', str(BIN / command)))
            self.assertNotIn('Unknown', check(self, verifier, 'verify', unit))

    def test_uwsgi_files(self):
        """A unit starts uWSGI with a sample that is there."""
        for sample in sorted((ETC / 'systemd').iterdir()):
            for name in re.findall(r'/etc/trio2o/(uwsgi/\S+)', sample.read_text()):
                self.assertTrue((ETC / name).is_file(), name)


class TestApache(SamplesTest):
    def test_syntax(self):
        apache = program(self, 'apache2', 'httpd')
        if not APACHE_MODULES.is_dir():
            self.skipTest('the modules of Apache are not where Debian has them')
        certificate = self.folder / 'trio2o.pem'
        check(
            self,
            program(self, 'openssl'),
            *('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=trio2o.test', '-days', '1'),
            *('-keyout', certificate, '-out', self.folder / 'certificate.pem'),
        )
        certificate.write_text(certificate.read_text() + (self.folder / 'certificate.pem').read_text())
        site = self.folder / 'trio2o.conf.apache'
        site.write_text(
            (ETC / 'apache' / 'trio2o.conf').read_text().replace('/etc/trio2o/tls/trio2o.pem', str(certificate))
        )
        modules = ('mpm_event', 'authz_core', 'alias', 'log_config', 'socache_shmcb', 'ssl', 'headers', 'proxy')
        lines = [
            f'LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so'
            for name in (*modules, 'proxy_http')
            if (APACHE_MODULES / f'mod_{name}.so').exists()
        ]
        lines += [
            f'Define APACHE_LOG_DIR {self.folder}',
            f'ErrorLog {self.folder}/error.log',
            'ServerName trio2o.test',
        ]
        lines += [
            'LogFormat "%h %l %u %t \\"%r\\" %>s %b" combined',
            f'PidFile {self.folder}/apache.pid',
            f'Include {site}',
        ]
        main = self.folder / 'apache.conf'
        main.write_text('\n'.join([*lines, '']))
        self.assertIn('Syntax OK', check(self, apache, '-t', '-f', main))


class TestLogrotate(SamplesTest):
    def test_rotates(self):
        """Not only does it parse: a log is rotated, and goes on in the same file."""
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
