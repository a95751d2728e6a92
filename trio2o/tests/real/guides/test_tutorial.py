# SPDX-License-Identifier: Apache-2.0
"""Run the commands of doc/source/tutorial, from ``tools/demo`` to a drained pod.

``tools/demo`` finds the running pods of the lab and starts the gateway.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import tempfile
import unittest

from trio2o.tests.fixtures.pages import DOCS, Terminal, missing, steps
from trio2o.tests.fixtures.real import answers, connect, real_lab
from trio2o.tests.fixtures.waiting import wait_until

CHECKOUT = DOCS.parents[1]
PAGE = DOCS / 'tutorial' / 'index.rst'
#: Prefixes of the names of the page's flavors and types.
OURS = ('tutorial.', 'demo.')


class TutorialTest(unittest.TestCase):
    def setUp(self):
        super().setUp()
        self.lab = real_lab()
        self.lab.start()
        self.state = pathlib.Path(self.lab.state_dir)
        self._empty()
        self.addCleanup(self._empty)
        self.addCleanup(self._as_it_was, len(self.lab.topology.pods))
        self.addCleanup(self._stop_gateway)
        folder = self._clone()
        kept = {name: value for name, value in os.environ.items() if not name.startswith('OS_')}
        self.terminal = Terminal({**kept, 'TRIO2O_LAB': str(self.state), 'PYTHONWARNINGS': 'ignore'}, folder)
        self.addCleanup(self.terminal.close)

    def _clone(self):
        """A folder that looks like a clone, with the running lab."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        demo = pathlib.Path(folder.name, 'tools', 'demo')
        demo.parent.mkdir()
        # Bash passes on the functions of the terminal that run the clients; another shell may drop them.
        demo.write_text(f'#!/usr/bin/env bash\nexec {CHECKOUT}/tools/demo "$@"\n')
        demo.chmod(0o755)
        pathlib.Path(folder.name, '.lab').symlink_to(self.state)
        return folder.name

    def _as_it_was(self, pods):
        """Remove the pod that the page added, because other tests do not expect it."""
        real_lab().shrink(pods)
        self.lab.start()

    def _stop_gateway(self):
        pid_file = self.state / 'trio2o' / 'trio2o-all.pid'
        if pid_file.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid_file.read_text()), signal.SIGTERM)
            gateway = self.lab.topology.gateway
            ports = (gateway.admin_port, gateway.volume_port, gateway.compute_port)
            wait_until(lambda: not any(answers(port) for port in ports), 60, 'the gateway does not stop')
        # Keep the log of the gateway.
        if (log := self.state / 'trio2o' / 'trio2o-all.log').exists():
            shutil.move(log, self.state / 'log' / 'trio2o-all.tutorial.log')
        shutil.rmtree(self.state / 'trio2o', ignore_errors=True)

    def _empty(self):
        """Delete all servers, volumes, flavors and types of the pods: a new lab has none."""
        for pod in self.lab.topology.pods:
            there = connect(self.lab, 'admin', pod.name)
            for server in list(there.compute.servers(all_projects=True)):
                there.compute.delete_server(server)
                there.compute.wait_for_delete(server, interval=0.2)
            for volume in list(there.block_storage.volumes(all_projects=True)):
                there.block_storage.delete_volume(volume, force=True)
                there.block_storage.wait_for_delete(volume, interval=0.2)
            for flavor in [each for each in there.compute.flavors(is_public=None) if each.name.startswith(OURS)]:
                there.compute.delete_flavor(flavor)
            for kind in [each for each in there.block_storage.types() if each.name.startswith(OURS)]:
                there.block_storage.delete_type(kind)

    def test_commands_of_tutorial_succeed(self):
        typed = 0
        for step in steps(PAGE.read_text()):
            if 'not-here' in step.marks:
                continue
            status, printed = self.terminal.type(step.words)
            reported = f'{step.words}\n{printed}'
            self.assertEqual('fails' in step.marks, status != 0, reported)
            self.assertIsNone(missing(step.shown, printed), reported)
            typed += 1
        self.assertGreater(typed, 40)
