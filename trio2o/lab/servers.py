# SPDX-License-Identifier: Apache-2.0
"""Private MariaDB, PostgreSQL and RabbitMQ servers in temporary directories, on free ports.

    with servers.mariadb() as url: ...
    with servers.postgres() as url: ...
    with servers.rabbitmq() as transport_url: ...

If the caller is root, they run as the account of their package, since the servers refuse to run as
root. A test that needs a server that is not installed is skipped. In a shell, this runs a command
with the URLs in its environment (TRIO2O_TEST_MYSQL, TRIO2O_TEST_POSTGRES, TRIO2O_TEST_RABBITMQ):

    python -m trio2o.lab.servers mariadb postgres -- python -m stestr run
"""

import contextlib
import ctypes
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Callable, Iterator, Sequence

from trio2o.lab.ports import free_ports

_DIRECTORIES = [
    '/usr/sbin',
    '/usr/local/sbin',
    '/usr/lib/rabbitmq/bin',
    *sorted(glob.glob('/usr/lib/postgresql/*/bin'), reverse=True),
    *sorted(glob.glob('/usr/pgsql-*/bin'), reverse=True),
]
_START_SECONDS = 90
_STOP_SECONDS = 20
_PR_SET_PDEATHSIG = 1


class NotInstalled(unittest.SkipTest):
    """The server is not installed on this machine."""


def binary(name: str) -> str:
    """Return the path of a server's program.

    :raises NotInstalled: there is none
    """
    # /usr/sbin is the last one, because there RabbitMQ has a wrapper that changes the account itself.
    path = os.pathsep.join([*_DIRECTORIES[2:], os.environ.get('PATH', ''), *_DIRECTORIES[:2]])
    found = shutil.which(name, path=path)
    if found is None:
        raise NotInstalled(f'{name} is not installed')
    return found


def ends_with_us(stop_signal: int) -> Callable[[], object]:
    """Make a ``preexec_fn`` by which Linux sends the child a signal when the thread that started it ends.

    So no server survives a parent that was killed.
    """
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, stop_signal)


class _Account:
    """The account a server runs as: the caller's, or for root that of the package."""

    def __init__(self, name: str) -> None:
        self.entry: pwd.struct_passwd | None = None
        if os.geteuid() == 0:
            try:
                self.entry = pwd.getpwnam(name)
            except KeyError:
                raise NotInstalled(f'there is no account {name}, and root may not run it') from None

    def popen(
        self,
        command: Sequence[str],
        log: str,
        home: str,
        env: dict[str, str] | None = None,
        stop_signal: int = signal.SIGTERM,
    ) -> subprocess.Popen[bytes]:
        """Start a process that ends when this process ends, even if it is killed."""
        who: dict[str, object] = {}
        if self.entry is not None:
            who = {'user': self.entry.pw_uid, 'group': self.entry.pw_gid, 'extra_groups': []}
        # With a common directory for temporary files, two servers that start at the same time would conflict.
        environment = {**os.environ, 'HOME': home, 'TMPDIR': home, 'LC_ALL': 'C', **(env or {})}
        with open(log, 'ab') as output:
            return subprocess.Popen(  # type: ignore[call-overload]
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=home,
                env=environment,
                start_new_session=True,
                preexec_fn=ends_with_us(stop_signal),
                **who,
            )

    def run(self, command: Sequence[str], log: str, home: str) -> None:
        if self.popen(command, log, home).wait() != 0:
            raise RuntimeError(f'{command[0]} failed: {_tail(log)}')

    @contextlib.contextmanager
    def directory(self, prefix: str) -> Iterator[str]:
        path = tempfile.mkdtemp(prefix=f'trio2o-{prefix}-')
        try:
            if self.entry is not None:
                os.chown(path, self.entry.pw_uid, self.entry.pw_gid)
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def _tail(log: str) -> str:
    with open(log, errors='replace') as lines:
        return lines.read()[-2000:]


def _wait_until(is_up: Callable[[], object], process: subprocess.Popen[bytes], log: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            is_up()
            return
        except Exception as error:  # each client library has its own errors for a server that is not ready
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f'the server did not start: {_tail(log)}') from error
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes], stop_signal: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def _running(
    account: _Account,
    command: Sequence[str],
    home: str,
    is_up: Callable[[], object],
    env: dict[str, str] | None = None,
    stop_signal: int = signal.SIGTERM,
) -> Iterator[None]:
    log = os.path.join(home, 'output.log')
    process = account.popen(command, log, home, env, stop_signal)
    try:
        _wait_until(is_up, process, log)
        yield
    finally:
        _stop(process, stop_signal)


@contextlib.contextmanager
def mariadb() -> Iterator[str]:
    """:returns: the URL of an empty database; its user may make more."""
    import pymysql

    server, install = binary('mariadbd'), binary('mariadb-install-db')
    account, port = _Account('mysql'), free_ports(1)[0]
    with account.directory('mariadb') as home:
        data = os.path.join(home, 'data')
        account.run(
            [
                install,
                '--no-defaults',
                f'--datadir={data}',
                '--skip-test-db',
                '--auth-root-authentication-method=normal',
            ],
            os.path.join(home, 'install.log'),
            home,
        )
        first = os.path.join(home, 'first.sql')
        with open(first, 'w') as sql:
            sql.write(
                'CREATE DATABASE trio2o CHARACTER SET utf8mb4;\n'
                "GRANT ALL ON *.* TO 'trio2o'@'%' IDENTIFIED BY 'trio2o';\n"
            )
        os.chmod(first, 0o644)
        command = [
            server,
            '--no-defaults',
            f'--datadir={data}',
            f'--port={port}',
            '--bind-address=127.0.0.1',
            f'--socket={home}/socket',
            f'--pid-file={home}/pid',
            f'--init-file={first}',
            '--skip-name-resolve',
            '--innodb-buffer-pool-size=64M',
            '--innodb-flush-log-at-trx-commit=0',
            '--innodb-flush-method=nosync',
            '--max-connections=1000',
        ]

        def is_up() -> None:
            pymysql.connect(
                host='127.0.0.1', port=port, user='trio2o', password='trio2o', database='trio2o', ssl_disabled=True
            ).close()

        with _running(account, command, home, is_up):
            # For TLS, PyMySQL reads all certificates of the machine for each connection.
            yield f'mysql+pymysql://trio2o:trio2o@127.0.0.1:{port}/trio2o?charset=utf8mb4&ssl_disabled=true'


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """:returns: the URL of an empty database; its user may make more."""
    import psycopg2

    server, initdb = binary('postgres'), binary('initdb')
    account, port = _Account('postgres'), free_ports(1)[0]
    with account.directory('postgres') as home:
        data = os.path.join(home, 'data')
        account.run(
            [
                initdb,
                '--pgdata',
                data,
                '--username=trio2o',
                '--auth=trust',
                '--no-sync',
                '--encoding=UTF8',
                '--locale=C',
            ],
            os.path.join(home, 'install.log'),
            home,
        )
        command = [
            server,
            '-D',
            data,
            '-p',
            str(port),
            '-k',
            home,
            '-h',
            '127.0.0.1',
            '-c',
            'fsync=off',
            '-c',
            'full_page_writes=off',
            '-c',
            'max_connections=300',
        ]
        url = f'postgresql://trio2o@127.0.0.1:{port}/postgres'
        # After a SIGTERM it would wait for its clients.
        with _running(account, command, home, lambda: psycopg2.connect(url).close(), stop_signal=signal.SIGINT):
            with contextlib.closing(psycopg2.connect(url)) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute('CREATE DATABASE trio2o')
            yield f'postgresql+psycopg2://trio2o@127.0.0.1:{port}/trio2o'


@contextlib.contextmanager
def rabbitmq(port: int | None = None) -> Iterator[str]:
    """:param port: port of a stopped broker that this one replaces
    :returns: the transport URL of an empty broker
    """
    from kombu.connection import Connection

    server = binary('rabbitmq-server')
    epmd = binary('epmd')
    new_port, epmd_port, dist_port = free_ports(3)
    account, port = _Account('rabbitmq'), port or new_port
    with account.directory('rabbitmq') as home:
        config = os.path.join(home, 'rabbitmq.conf')
        with open(config, 'w') as settings:
            settings.write(f'listeners.tcp.1 = 127.0.0.1:{port}\nloopback_users = none\n')
        plugins = os.path.join(home, 'enabled_plugins')
        with open(plugins, 'w') as enabled:
            enabled.write('[].\n')
        os.chmod(config, 0o644)
        os.chmod(plugins, 0o644)
        env = {
            'RABBITMQ_NODENAME': f'trio2o{port}@localhost',
            'RABBITMQ_CONFIG_FILE': config,
            'RABBITMQ_DIST_PORT': str(dist_port),
            'RABBITMQ_MNESIA_BASE': f'{home}/mnesia',
            'RABBITMQ_LOG_BASE': f'{home}/log',
            'RABBITMQ_PID_FILE': f'{home}/pid',
            'RABBITMQ_ENABLED_PLUGINS_FILE': plugins,
            'RABBITMQ_CONF_ENV_FILE': '/dev/null',
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': '+S 1:1 +sbwt none',
            'ERL_EPMD_PORT': str(epmd_port),
            'ERL_EPMD_ADDRESS': '127.0.0.1',
        }

        def is_mapper_up() -> None:
            socket.create_connection(('127.0.0.1', epmd_port), 1).close()

        def is_up() -> None:
            with Connection(url, connect_timeout=2) as connection:
                connection.connect()

        url = f'amqp://guest:guest@127.0.0.1:{port}//'
        # Erlang would start its port mapper itself, as a daemon that never ends.
        with (
            _running(account, [epmd, '-port', str(epmd_port)], home, is_mapper_up, env),
            _running(account, [server], home, is_up, env),
        ):
            yield f'rabbit://guest:guest@127.0.0.1:{port}/'


_SERVERS = {
    'mariadb': (mariadb, 'TRIO2O_TEST_MYSQL'),
    'postgres': (postgres, 'TRIO2O_TEST_POSTGRES'),
    'rabbitmq': (rabbitmq, 'TRIO2O_TEST_RABBITMQ'),
}


def main(argv: Sequence[str]) -> int:
    """Run a command with servers; report those that are not installed, and run it without them."""
    split = list(argv).index('--')
    with contextlib.ExitStack() as stack:
        env = dict(os.environ)
        for name in argv[:split]:
            start, variable = _SERVERS[name]
            try:
                env[variable] = stack.enter_context(start())
            except NotInstalled as reason:
                print(f'without {name}: {reason}', file=sys.stderr)
        return subprocess.call(list(argv[split + 1 :]), env=env)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
