# SPDX-License-Identifier: Apache-2.0
"""HTTP on the wire: framing, kept connections, deadlines and failures."""

import contextlib
import os
import pathlib
import socket
import ssl
import struct
import subprocess
import threading
import time
from unittest import mock

import fixtures
import testtools
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from trio2o import conf as trio2o_conf
from trio2o.pods import transport

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'


class Server:
    """Answers with given bytes: each connection takes the next list, each request the next item of it."""

    def __init__(self, *scripts):
        self.requests = []
        self.connections = 0
        self.closed = threading.Semaphore(0)
        self._scripts = list(scripts)
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.url = f'http://127.0.0.1:{self._listener.getsockname()[1]}'
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        for script in self._scripts:
            with contextlib.suppress(OSError):
                sock, _address = self._listener.accept()
                self.connections += 1
                with sock:
                    self._answer(sock, script)
                self.closed.release()

    def _answer(self, sock, script):
        for parts in script:
            data = b''
            while b'\r\n\r\n' not in data:
                received = sock.recv(65536)
                if not received:
                    return
                data += received
            head, _end, body = data.partition(b'\r\n\r\n')
            for line in head.split(b'\r\n'):
                if line.lower().startswith(b'content-length:'):
                    while len(body) < int(line.split(b':')[1]):
                        body += sock.recv(65536)
            self.requests.append((head.decode('latin-1'), body))
            for part in [parts] if isinstance(parts, bytes) else parts:
                if isinstance(part, bytes):
                    sock.sendall(part)
                elif callable(part):
                    part(sock)
                else:
                    time.sleep(part)  # the server is slow

    def close(self):
        self._listener.close()


class TestTransport(testtools.TestCase):
    def setUp(self):
        super().setUp()
        conf = trio2o_conf.new_config(files=[])
        self.transport = transport.PooledTransport(conf)

    def serve(self, *scripts):
        server = Server(*scripts)
        self.addCleanup(server.close)
        return server

    def get(self, url, timeout=5.0):
        return self.transport.request('GET', url, [('Accept', '*/*')], None, timeout)

    def test_connection_is_kept(self):
        server = self.serve([OK, OK])
        for _time in range(2):
            status, headers, body = self.get(f'{server.url}/v2.1/servers?limit=1')
            self.assertEqual((200, [('Content-Length', '2')], b'ok'), (status, headers, body))
        self.assertEqual(1, server.connections)
        self.assertEqual('GET /v2.1/servers?limit=1 HTTP/1.1', server.requests[0][0].split('\r\n')[0])
        self.assertIn(f'Host: {server.url[7:]}', server.requests[0][0])

    def test_body_larger_than_configured_is_no_answer(self):
        conf = trio2o_conf.new_config(files=[])
        conf.set_override('max_answer_size', 1024 * 1024, group='pods')
        self.transport = transport.PooledTransport(conf)
        chunk = b'10000\r\n' + b'x' * 65536 + b'\r\n'
        endless = [b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', *([chunk] * 100)]
        announced = [b'HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n', *([chunk] * 100)]
        for parts in (endless, announced):
            server = self.serve([parts])
            self.assertRaises(TimeoutError, self.get, server.url + '/')
            self.assertEqual(1, server.connections)

    def test_connection_closed_by_server_is_not_used(self):
        server = self.serve([OK], [OK])
        self.get(server.url + '/')
        self.assertTrue(server.closed.acquire(timeout=5))
        self.assertEqual(200, self.transport.request('POST', server.url + '/', [], b'{}', 5)[0])
        self.assertEqual(2, server.connections)

    def test_write_does_not_use_connection_that_was_idle(self):
        server = self.serve([OK, OK, OK], [OK])
        self.get(server.url + '/')
        self.assertEqual(200, self.transport.request('POST', server.url + '/', [], b'{}', 5)[0])
        with mock.patch.object(transport, '_IDLE_SECONDS', 0.0):
            self.get(server.url + '/')
            self.assertEqual(1, server.connections)
            self.assertEqual(200, self.transport.request('DELETE', server.url + '/', [], None, 5)[0])
            self.assertEqual(2, server.connections)

    def test_connection_is_closed_if_answer_says_so(self):
        for answer in (
            b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
            b'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok',
        ):
            server = self.serve([answer, OK], [OK])
            self.get(server.url + '/')
            self.get(server.url + '/')
            self.assertEqual(2, server.connections, answer)

    def test_bodies_are_read_in_all_framings(self):
        chunked = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
        for parts, expected in (
            ([chunked, b'3;x=y\r\nabc\r', 0.02, b'\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n'], b'abcde'),
            ([b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx'], b'x'),
            ([b'HTTP/1.1 204 No Content\r\n\r\n'], b''),
            ([b'HTTP/1.1 200 ', 0.02, b'OK\r\nContent-Length: 4\r', 0.02, b'\n\r\nab', 0.02, b'cd'], b'abcd'),
            ([b'HTTP/1.1 200\r\ncontent-length:300000\r\n\r\n', b'x' * 300000], b'x' * 300000),
        ):
            server = self.serve([parts, OK])
            self.assertEqual(expected, self.get(server.url + '/')[2])
            self.assertEqual(b'ok', self.get(server.url + '/')[2])
            self.assertEqual(1, server.connections)

    def test_body_without_length_ends_with_connection(self):
        server = self.serve([b'HTTP/1.1 200 OK\r\n\r\nall of it'], [OK])
        self.assertEqual(b'all of it', self.get(server.url + '/')[2])
        self.assertEqual(b'ok', self.get(server.url + '/')[2])

    def test_head_has_no_body(self):
        server = self.serve([b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', OK])
        self.assertEqual(b'', self.transport.request('HEAD', server.url + '/', [], None, 5)[2])
        self.assertEqual(b'ok', self.get(server.url + '/')[2])

    def test_repeated_and_folded_headers_are_read(self):
        server = self.serve(
            [b'HTTP/1.1 200 OK\r\nVary: a\r\nVary:b\r\nX-Long: one\r\n  two\r\nContent-Length: 0\r\n\r\n']
        )
        headers = self.get(server.url + '/')[1]
        self.assertEqual([('Vary', 'a'), ('Vary', 'b'), ('X-Long', 'one two'), ('Content-Length', '0')], headers)

    def test_repeated_headers_are_all_sent(self):
        server = self.serve([OK])
        headers = [('X-A', '1'), ('X-B', '2'), ('x-a', '3'), ('X-A', '4')]
        self.transport.request('GET', f'{server.url}/', headers, None, 5.0)
        lines = server.requests[0][0].split('\r\n')
        sent = [line.split(': ')[1] for line in lines if line.lower().startswith(('x-a', 'x-b'))]
        self.assertEqual(['1', '2', '3', '4'], sorted(each for part in sent for each in part.split(', ')))

    def test_requests_have_content_length(self):
        server = self.serve([OK, OK, OK])
        for method, body in (('POST', b'{"a": 1}'), ('PUT', None), ('DELETE', None)):
            self.transport.request(method, server.url + '/', [], body, 5)
        self.assertIn('Content-Length: 8', server.requests[0][0])
        self.assertEqual(b'{"a": 1}', server.requests[0][1])
        self.assertIn('Content-Length: 0', server.requests[1][0])
        self.assertNotIn('Content-Length', server.requests[2][0])

    def test_path_is_quoted_once(self):
        server = self.serve([OK] * 4)
        for path in ('/metadata/a b', '/a%20b?q=%C3%A9', '/schlüssel', '/x?y=a/../b'):
            self.get(server.url + path)
        self.assertEqual(
            ['/metadata/a%20b', '/a%20b?q=%C3%A9', '/schl%C3%BCssel', '/x?y=a/../b'],
            [head.split(' ')[1] for head, _body in server.requests],
        )

    @given(st.text("ab/.~%2fF?&=:@;,'é\\| #[]+", max_size=12))
    def test_target_of_plain_url_is_that_of_parsed_url(self, rest):
        pool, target = self.transport._find(f'http://pod.test:8774/v2.1{rest}')
        self.assertEqual(urllib3.util.parse_url(f'http://pod.test:8774/v2.1{rest}').request_uri, target)
        self.assertIs(self.transport._find('http://pod.test:8774/')[0], pool)

    def test_url_without_host_is_connection_refused(self):
        for url in (
            'http:///v2.1/servers',
            '/v2.1/servers',
            'ftp://pod.test/',
            'http://pod.test:port/',
            'http://[::1/',
        ):
            self.assertRaises(ConnectionRefusedError, self.get, url)

    def test_address_of_ipv6_has_no_brackets(self):
        connection = self.transport._find('http://[::1]:8774/')[0].take()
        self.assertEqual(('::1', 8774), (connection._http.host, connection._http.port))

    def test_header_with_line_break_is_refused(self):
        server = self.serve([OK])
        self.assertRaises(
            ValueError, self.transport.request, 'GET', server.url + '/', [('X-A', 'b\r\nX-Admin: yes')], None, 5
        )

    def test_closed_port_is_connection_refused(self):
        with socket.create_server(('127.0.0.1', 0)) as listener:
            port = listener.getsockname()[1]
        self.assertRaises(ConnectionRefusedError, self.get, f'http://127.0.0.1:{port}/')

    def test_malformed_answer_is_connection_error(self):
        for parts in (
            b'',
            b'HTTP/1.1 200 OK\r\nContent-Le',
            b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab',
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab',
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\n',
            b'SSH-2.0-OpenSSH\r\n\r\n',
            b'HTTP/1.1 ' + b'x' * 200000,
        ):
            server = self.serve([parts])
            error = self.assertRaises(ConnectionError, self.get, server.url + '/')
            self.assertNotIsInstance(error, ConnectionRefusedError)

    def test_deadline_applies_to_whole_call(self):
        drip = [b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n', *[0.05, b'x'] * 100]
        server = self.serve([drip])
        started = time.monotonic()
        self.assertRaises(TimeoutError, self.get, server.url + '/', timeout=0.2)
        self.assertLess(time.monotonic() - started, 2.0)

    def test_connection_with_late_answer_is_not_used_again(self):
        late = b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate'
        server = self.serve([[0.3, late], OK], [OK])
        self.assertRaises(TimeoutError, self.get, server.url + '/', timeout=0.1)
        self.assertEqual(b'ok', self.get(server.url + '/')[2])
        self.assertEqual(2, server.connections)


class TestIdleConnections(testtools.TestCase):
    """With more endpoints than a process may keep connections to, those are closed that it used longest ago."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch('trio2o.pods.open_files.limit', lambda: 4))
        self.transport = transport.PooledTransport(trio2o_conf.new_config(files=[]))
        self.servers = [Server([OK, OK], [OK, OK]) for _number in range(3)]
        for server in self.servers:
            self.addCleanup(server.close)

    def get(self, *numbers):
        for number in numbers:
            status, _headers, _body = self.transport.request('GET', self.servers[number].url, [], None, 5.0)
            self.assertEqual(200, status)

    def test_connection_used_longest_ago_is_closed(self):
        self.get(0, 1, 2)
        self.assertTrue(self.servers[0].closed.acquire(timeout=20))
        self.get(1, 2)
        self.assertEqual([1, 1, 1], [server.connections for server in self.servers])

    def test_closed_connection_is_opened_again(self):
        self.get(0, 1, 2)
        self.get(0)
        self.assertEqual([2, 1, 1], [server.connections for server in self.servers])
        self.assertTrue(self.servers[1].closed.acquire(timeout=20))


class TLSServer(Server):
    """A server that does the handshake with a certificate of its own, or something else instead."""

    def __init__(self, certificate, script, handshake=None):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._handshake = handshake
        super().__init__(script)
        self.url = self.url.replace('http:', 'https:')

    def _answer(self, sock, script):
        if self._handshake is not None:
            self._handshake(sock)
            return
        with self._context.wrap_socket(sock, server_side=True) as wrapped:
            super()._answer(wrapped, script)


def reset(sock):
    """Close a connection with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    sock.close()


class TestTLS(testtools.TestCase):
    """What was sent is known by the stage at which TLS fails."""

    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.certificate = folder / 'pod.pem'
        key = folder / 'key.pem'
        subprocess.run(
            [
                *('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'),
                *('-subj', '/CN=localhost', '-keyout', key, '-out', self.certificate),
            ],
            check=True,
            capture_output=True,
        )
        self.certificate.write_text(key.read_text() + self.certificate.read_text())

    def serve(self, script=(), handshake=None):
        server = TLSServer(self.certificate, script, handshake)
        self.addCleanup(server.close)
        return server

    def post(self, server, timeout=5.0, **options):
        conf = trio2o_conf.new_config(files=[])
        for name, value in {'insecure': True, 'connect_timeout': 0.3, **options}.items():
            conf.set_override(name, value, group='pods')
        return transport.PooledTransport(conf).request('POST', server.url + '/', [], b'{}', timeout)

    def test_answer_over_tls_is_read(self):
        server = self.serve([OK])
        self.assertEqual((200, b'ok'), self.post(server)[::2])

    def test_tls_error_after_request_was_sent_is_no_answer(self):
        created = b'HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n{"server": '
        broken = lambda sock: os.write(sock.fileno(), b'this is not a record of TLS at all')  # noqa: E731
        for script in (
            [[broken]],
            [[created, broken]],
            [[created, reset]],
            [[reset]],
            [[lambda sock: sock.unwrap()]],
            [[created]],
        ):
            server = self.serve(script)
            error = self.assertRaises(ConnectionError, self.post, server)
            self.assertNotIsInstance(error, ConnectionRefusedError, script)
            self.assertEqual(b'{}', server.requests[0][1])

    def test_handshake_that_fails_is_not_reached(self):
        for handshake in (
            reset,
            lambda sock: sock.sendall(OK),
            lambda sock: sock.close(),
        ):
            server = self.serve(handshake=handshake)
            self.assertRaises(ConnectionRefusedError, self.post, server)

    def test_handshake_that_hangs_is_not_reached_after_connect_timeout(self):
        release = threading.Event()
        self.addCleanup(release.set)
        server = self.serve(handshake=lambda sock: release.wait(30))
        started = time.monotonic()
        self.assertRaises(ConnectionRefusedError, self.post, server, timeout=20.0)
        self.assertLess(time.monotonic() - started, 10)

    def test_certificate_of_unknown_issuer_is_not_reached(self):
        server = self.serve([OK])
        self.assertRaises(ConnectionRefusedError, self.post, server, insecure=False)
        self.assertEqual([], server.requests)
