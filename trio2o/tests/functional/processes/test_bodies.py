# SPDX-License-Identifier: Apache-2.0
"""Bodies and headers of requests, as clients with a socket of their own send them to the HTTP server."""

import http.client
import socket
import threading

import testtools

from trio2o import concurrency
from trio2o.tests.fixtures.waiting import wait_until


class TestBodies(testtools.TestCase):
    """A server with one slot."""

    def setUp(self):
        super().setUp()
        sock = concurrency.listen('127.0.0.1', 0)
        self.address = sock.getsockname()[:2]
        self.server = concurrency.WSGIServer(
            sock, self.application, threads=1, keepalive=5, timeout=1, body_seconds=0.3, max_body=1000
        )
        self.server.start()
        self.addCleanup(self.server.stop)

    def application(self, environ, start_response):
        """Answer with the body, unless the path says that the answer does not depend on it."""
        body = b'unread'
        if environ['PATH_INFO'] != '/unread':
            body = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
        if environ['PATH_INFO'] == '/name':
            body = environ['HTTP_X_NAME'].encode()
        start_response('200 OK', [('Content-Length', str(len(body)))])
        return [body]

    def connect(self):
        sock = socket.create_connection(self.address, timeout=20)
        self.addCleanup(sock.close)
        return sock

    def client(self):
        client = http.client.HTTPConnection(*self.address, timeout=20)
        self.addCleanup(client.close)
        return client

    def received(self, sock):
        """Everything that the server sends until it closes the connection."""
        parts = []
        while part := sock.recv(65536):
            parts.append(part)
        return b''.join(parts)

    def test_slow_body_is_answered_408_and_holds_no_slot(self):
        slow = [self.connect() for _each in range(3)]
        for sock in slow:
            sock.sendall(b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx')
        client = self.client()
        client.request('POST', '/', b'body')
        self.assertEqual(b'body', client.getresponse().read())
        stopped = threading.Event()
        self.addCleanup(stopped.set)

        def trickle():
            while not stopped.wait(0.05):
                try:
                    slow[0].sendall(b'x')
                except OSError:
                    return

        threading.Thread(target=trickle, daemon=True).start()
        for sock in slow:
            self.assertIn(b' 408 ', self.received(sock))
        stopped.set()

    def test_slow_chunked_body_is_answered_408(self):
        sock = self.connect()
        sock.sendall(b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab')
        self.assertIn(b' 408 ', self.received(sock))

    def test_request_after_a_body_that_the_application_does_not_read_is_answered(self):
        client = self.client()
        for body in (b'{}', iter([b'GET /x HTTP/1.1\r\n\r\n', b'more'])):
            client.request('POST', '/unread', body, encode_chunked=not isinstance(body, bytes))
            answer = client.getresponse()
            self.assertEqual((200, b'unread'), (answer.status, answer.read()))
        client.request('POST', '/', iter([b'ab', b'c']), encode_chunked=True)
        self.assertEqual(b'abc', client.getresponse().read())

    def test_wrong_chunk_size_ends_the_connection(self):
        sock = self.connect()
        sock.sendall(b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n')
        self.assertEqual(1, self.received(sock).count(b'HTTP/1.1'))

    def test_headers_without_a_certain_end_of_the_request_are_400(self):
        chunked = b'Transfer-Encoding: chunked'
        for headers in (
            (b'Content-Length: 4', b'Content-Length: 40'),
            (b'Content-Length: 4', chunked),
            (chunked, b'Transfer-Encoding: identity'),
            (b'Content-Length : 4',),
            (b'Content-Length: +4',),
            (b'Content-Length: 0x4',),
            (b'Content-Length: 4', b' 0'),
            (b'Host: y', b'Content-Length: 4'),
            (b'Transfer-Encoding: gzip, chunked',),
            (b'Transfer-Encoding: identity',),
            (b'Transfer-Encoding: chunked\x0b',),
            (b'Transfer-Encoding:',),
            (b'Transfer-Encoding:', b' chunked'),
            (b'X-Name: a\rContent-Length: 4',),
            (b'X-Name: a\0',),
            (b'X-Name: a', b' b', b'Content-Length: 4'),
            (b': a', b'Content-Length: 4'),
        ):
            sock = self.connect()
            sock.sendall(b'\r\n'.join((b'POST / HTTP/1.1', b'Host: x', *headers, b'', b'abcd')))
            received = self.received(sock)
            self.assertIn(b' 400 ', received, headers)
            self.assertEqual(1, received.count(b'HTTP/1.1'), headers)

    def test_trailers_of_a_chunked_body_are_not_the_next_request(self):
        sock = self.connect()
        chunked = b' HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n'
        sock.sendall(b'POST /' + chunked + b'\r\n1\r\na\r\n0\r\nGET: /unread HTTP/1.1\r\nHost: x\r\n\r\n')
        sock.sendall(b'POST /' + chunked + b'Connection: close\r\n\r\n1;x=y\r\nb\r\n0\r\n\r\n')
        received = self.received(sock)
        self.assertEqual(2, received.count(b'HTTP/1.1 '), received)
        self.assertNotIn(b'unread', received)

    def test_endless_parts_of_a_chunked_body_are_not_read(self):
        for body in (
            b'7fffffff\r\n' + b'a' * 2000,
            b'1;' + b'a' * 5000,
            b'1\r\na\r\n0\r\n' + b'a: b\r\n' * 101,
        ):
            sock = self.connect()
            sock.sendall(b'POST /unread HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n' + body)
            received = self.received(sock)
            self.assertIn(b' 200 ', received)
            self.assertEqual(1, received.count(b'HTTP/1.1 '))

    def test_chunk_sizes_that_others_read_otherwise_end_the_connection(self):
        for size in (b'-1', b'+1', b'0x1', b'0_1', b' 1', b'1\n', b'1\r'):
            sock = self.connect()
            body = size + b'\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n'
            sock.sendall(b'POST /unread HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n' + body)
            self.assertEqual(1, self.received(sock).count(b'HTTP/1.1 '), size)

    def test_too_long_body_is_not_read_and_ends_the_connection(self):
        sock = self.connect()
        sock.sendall(b'POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n')
        self.assertIn(b'unread', self.received(sock))

    def test_long_header_line_is_accepted(self):
        client = self.client()
        client.request('GET', '/unread', headers={'Cookie': 'x' * 17000})
        self.assertEqual(200, client.getresponse().status)

    def test_header_with_underscore_is_not_read_as_one_with_hyphen(self):
        client = self.client()
        client.request('GET', '/name', headers={'X-Name': 'a', 'X_Name': 'b'})
        self.assertEqual(b'a', client.getresponse().read())

    def test_slot_is_free_again_after_each_answer(self):
        answers = []

        def post():
            client = self.client()
            client.request('POST', '/', b'body')
            answers.append(client.getresponse().read())

        threads = [threading.Thread(target=post) for _each in range(6)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(answers) == 6, 20, lambda: str(answers))
        self.assertEqual([b'body'] * 6, answers)
