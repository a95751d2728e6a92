# SPDX-License-Identifier: Apache-2.0
"""The parts of a lab of real pods that can be tested without pods."""

import configparser
import contextlib
import dataclasses
import io
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
from unittest import mock

from trio2o.lab import cli
from trio2o.lab.real import LabError, RealLab, configure, loaded, messages, processes, settings, topology
from trio2o.tests.fixtures.waiting import wait_until

# Threads that read and then write: on plain SQLite most of them fail with "database is locked".
RACE = """
    import sys, threading
    from trio2o.lab.real import sqlite
    sqlite.install()
    import sqlalchemy
    from oslo_db.sqlalchemy import enginefacade

    @enginefacade.transaction_context_provider
    class Context:
        pass

    manager = enginefacade.transaction_context()
    manager.configure(connection=f'sqlite:///{sys.argv[1]}')
    with manager.writer.using(Context()) as session:
        session.execute(sqlalchemy.text('CREATE TABLE counter (value INTEGER)'))
        session.execute(sqlalchemy.text('INSERT INTO counter VALUES (0)'))
    failures = []

    def count():
        for _ in range(25):
            try:
                with manager.writer.using(Context()) as session:
                    value = session.execute(sqlalchemy.text('SELECT value FROM counter')).scalar()
                    session.execute(
                        sqlalchemy.text('UPDATE counter SET value = :value'), {'value': value + 1}
                    )
                with manager.reader.using(Context()) as session:
                    session.execute(sqlalchemy.text('SELECT value FROM counter')).scalar()
            except Exception as error:
                failures.append(str(error))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with manager.reader.using(Context()) as session:
        print(session.execute(sqlalchemy.text('SELECT value FROM counter')).scalar(), failures[:1])
"""


def new_lab(folder: str, pods: int = 2, servers: dict[str, str] | None = None) -> topology.Topology:
    return topology.new_topology(pathlib.Path(folder), pods, 15000, topology.Gateway(), False, servers=servers)


class RealLabTest(unittest.TestCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_saved_lab_is_loaded_unchanged(self):
        made = new_lab(self.folder, 3, {'Pod1': 'mysql+pymysql://root@h'})
        topology.save(made)
        self.assertEqual(made, topology.load(pathlib.Path(self.folder)))

    def test_files_with_passwords_are_readable_by_owner_only(self):
        made = new_lab(self.folder)
        topology.save(made)
        configure.configure(made)
        for path in pathlib.Path(self.folder).rglob('*'):
            if path.is_file() and made.password in path.read_text(errors='replace'):
                self.assertEqual(0o600, path.stat().st_mode & 0o777, path)

    def test_ports_of_services_are_unique(self):
        ports = [service.port for service in new_lab(self.folder, 9).services]
        self.assertEqual(len(ports), len(set(ports)))

    def test_services_of_pod_use_endpoints_of_its_region(self):
        made = new_lab(self.folder)
        for service in made.services:
            text = configure.render(settings.sections(made, service))
            parsed = configparser.RawConfigParser(strict=True)
            parsed.read_string(text)
            if service.kind == 'nova':
                self.assertEqual(service.pod, parsed['placement']['region_name'])
                self.assertEqual(service.pod, parsed['cinder']['os_region_name'])
                self.assertEqual('RegionOne', parsed['neutron']['region_name'])
            if service.kind == 'cinder':
                self.assertEqual(service.pod, parsed['nova']['region_name'])

    def test_name_is_unknown_and_error_says_so(self):
        topology.save(new_lab(self.folder))
        with self.assertRaisesRegex(LabError, 'no service or pod is called Pod9'):
            RealLab(self.folder).stop(['Pod9'])

    def test_lab_does_not_exist_and_error_says_so(self):
        with self.assertRaisesRegex(LabError, 'there is no lab'):
            RealLab(self.folder).status()

    def up(self, *options):
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.suppress(SystemExit):
            # Not `main`, which lets a closed pipe end the process.
            chosen = cli.build_parser('real').parse_args(['real', 'up', '--state', self.folder, *options])
            self.assertEqual(1, chosen.run(chosen))
        return errors.getvalue()

    def test_existing_lab_refuses_other_ports_and_hosts(self):
        topology.save(new_lab(self.folder))
        for options in (['--port-base', '17000'], ['--compute-port', '8000'], ['--gateway-host', '192.0.2.1']):
            self.assertIn(f'another {options[0]}', self.up(*options))

    def test_option_out_of_range_is_refused(self):
        for options in (['--compute-port', '80000'], ['--port-base', '0'], ['--pods', '0'], ['--pods', 'two']):
            self.assertIn(f'argument {options[0]}', self.up(*options))
        self.assertEqual([], os.listdir(self.folder))

    def test_all_ports_in_use_are_named_at_once(self):
        made = new_lab(self.folder)
        with contextlib.ExitStack() as stack:
            taken = [stack.enter_context(socket.create_server(('127.0.0.1', 0))) for _ in range(2)]
            admin, volume = (each.getsockname()[1] for each in taken)
            made = dataclasses.replace(made, gateway=topology.Gateway(admin_port=admin, volume_port=volume))
            with self.assertRaises(processes.ServiceFailed) as raised:
                processes.check_ports(made)
        for expected in (str(admin), str(volume), '--admin-port', '--volume-port'):
            self.assertIn(expected, str(raised.exception))

    def test_pid_file_of_ended_process_is_ignored(self):
        made = new_lab(self.folder)
        configure.configure(made)
        service = made.service('glance')
        made.pid_file(service).write_text(f'{os.getpid()} 1\n')
        self.assertIsNone(processes.running_pid(made, service))
        processes.write_pid_file(made, service, os.getpid())
        self.assertEqual(os.getpid(), processes.running_pid(made, service))

    def test_concurrent_threads_can_write_to_sqlite(self):
        path = os.path.join(self.folder, 'race.sqlite')
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', textwrap.dedent(RACE), path],
            capture_output=True,
            text=True,
        )
        self.assertEqual(('200 []', ''), (done.stdout.strip(), done.stderr))


class TestArrivals(unittest.TestCase):
    """A listener that sleeps too long would delay each call between the services of a pod."""

    def setUp(self):
        super().setUp()
        self.enterContext(mock.patch.object(messages, 'IDLE_SECONDS', 600))
        self.arrivals = messages.Arrivals()
        self.turns = threading.Semaphore(0)
        self.listener = threading.Thread(target=self.listen, daemon=True)

    def listen(self):
        for _message in range(3):
            self.arrivals.sleep(messages.DRIVER_SECONDS)
            self.turns.release()

    def test_message_that_arrives_before_or_during_sleep_ends_it(self):
        self.listener.start()
        for _message in range(3):
            self.assertTrue(self.turns.acquire(timeout=60))
            self.arrivals.add()
        self.listener.join(60)
        self.assertFalse(self.listener.is_alive())

    def test_listener_sleeps_while_no_message_arrives(self):
        self.listener.start()
        self.assertTrue(self.turns.acquire(timeout=60))
        self.assertFalse(self.turns.acquire(timeout=0.1))
        self.assertTrue(self.listener.is_alive())
        self.arrivals.add()
        self.assertTrue(self.turns.acquire(timeout=60))


LAUNCHER = """
import os, sys
print(os.environ['LAB_PORT'], os.getcwd(), os.getsid(0) == os.getpid(), 'placement.handler' in sys.modules)
open('parent', 'w').write(str(os.getppid()))
"""


class TestLoaded(unittest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.folder / 'launched.py').write_text(LAUNCHER)
        self.loaders = self.folder / 'loaded'
        self.loaders.mkdir()

    def start(self, name, launcher='launched', loaders=None):
        """Start a service. :returns: what it prints, and the process id of its parent"""
        state = self.folder / name
        state.mkdir()
        environment = {**os.environ, 'PYTHONPATH': str(self.folder), 'LAB_PORT': name}
        log = self.folder / f'{name}.log'
        pid = loaded.start(
            loaders or self.loaders,
            'placement',
            launcher,
            sys.executable,
            environment=environment,
            state=str(state),
            log=str(log),
        )
        wait_until(lambda: processes.start_time(pid) is None, 60, 'the service does not end')
        return log.read_text(), state / 'parent'

    def test_services_have_one_parent_and_their_own_state(self):
        parents = []
        for name in ('one', 'two'):
            printed, parent = self.start(name)
            self.assertEqual(f'{name} {self.folder / name} True True\n', printed)
            parents.append(int(parent.read_text()))
        self.assertEqual(parents[0], parents[1])
        self.loaders.rename(self.folder / 'gone')
        wait_until(lambda: processes.start_time(parents[0]) is None, 60, 'the loader does not end')

    def test_labs_with_link_to_one_folder_share_loaders(self):
        parents = []
        for name in ('one', 'two'):
            link = self.folder / f'{name}-lab'
            link.symlink_to(self.loaders)
            _printed, parent = self.start(name, loaders=link)
            parents.append(int(parent.read_text()))
            # The loader does not end with one of the labs.
            link.unlink()
        self.assertEqual(parents[0], parents[1])

    def test_command_gets_its_arguments_and_its_status_is_returned(self):
        (self.folder / 'command.py').write_text('import sys; print(sys.argv); sys.argv[2] == "end" or 1 / 0')
        log = self.folder / 'log'
        request = {'environment': {**os.environ, 'PYTHONPATH': str(self.folder)}, 'state': str(self.folder)}
        for word, status in (('end', 0), ('fail', 1)):
            found = loaded.run(
                self.loaders, 'placement', 'command', sys.executable, 'one', word, log=str(log), **request
            )
            self.assertEqual(status, found)
            self.assertIn(f"['command', 'one', '{word}']", log.read_text())

    def test_error_of_service_is_logged_and_loader_remains(self):
        self.assertIn('No module named nothing', self.start('one', 'nothing')[0])
        self.assertEqual(f'two {self.folder / "two"} True True\n', self.start('two')[0])
