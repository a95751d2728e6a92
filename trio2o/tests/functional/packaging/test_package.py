# SPDX-License-Identifier: Apache-2.0
"""The sdist, and the wheel built from it, work without a checkout."""

import os
import pathlib
import subprocess
import sys
import sysconfig
import tarfile
import venv

import fixtures
import testtools

TOP = pathlib.Path(__file__).parents[4]
#: Files that are not Python: a wheel without them fails only when they are used.
DATA = (
    'trio2o/db/migrations/script.py.mako',
    'trio2o/dashboard/templates/overview.html',
    'trio2o/dashboard/style.css',
)
SERVICES = ('trio2o-api', 'trio2o-nova-apigw', 'trio2o-cinder-apigw', 'trio2o-xjob', 'trio2o-all')
#: Runs programs with ``--help``, all in one process, because each needs seconds to load the same modules.
HELP = """
import runpy, sys
for program in sys.argv[1:]:
    sys.argv[:] = [program, '--help']
    try:
        runpy.run_path(program, run_name='__main__')
    except SystemExit as ended:
        assert not ended.code, ended.code
"""


class TestPackage(testtools.TestCase):
    def run_in(self, directory, *command, **environment):
        answer = subprocess.run(
            [str(part) for part in command],
            cwd=directory,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(0, answer.returncode, answer.stdout + answer.stderr)
        return answer.stdout

    def build(self, source, kind, directory):
        """Build an sdist or a wheel with the build backend, as pip does, with the installed packages."""
        code = f'from setuptools import build_meta; print(build_meta.build_{kind}({str(directory)!r}))'
        return directory / self.run_in(source, sys.executable, '-c', code).splitlines()[-1]

    def test_wheel_of_sdist_works_without_checkout(self):
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        checkout = directory / 'checkout'
        self.run_in(directory, 'git', 'clone', '-q', TOP, checkout)
        with tarfile.open(self.build(checkout, 'sdist', directory)) as sdist:
            # Without the filter, newer interpreters warn. Those before 3.11.4 do not know it.
            safe = {'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}
            sdist.extractall(directory / 'unpacked', **safe)
        (unpacked,) = (directory / 'unpacked').iterdir()
        # Files that only the sdist has.
        for name in ('LICENSE', 'README.rst', 'etc/grafana', 'devstack/plugin.sh', 'tools/test', 'doc/source'):
            self.assertTrue((unpacked / name).exists(), name)
        wheel = self.build(unpacked, 'wheel', directory)

        place = directory / 'venv'
        venv.create(place, with_pip=False)
        (packages,) = place.glob('lib/python*/site-packages')
        self.run_in(
            directory,
            sys.executable,
            '-m',
            'pip',
            f'--python={place / "bin" / "python"}',
            'install',
            '-q',
            '--no-deps',
            '--no-index',
            wheel,
        )
        # The dependencies are those of this environment; Python does not run .pth files in an added path.
        (packages / 'dependencies.pth').write_text(sysconfig.get_path('purelib') + '\n')
        for name in DATA:
            self.assertTrue((packages / name).exists(), name)
        found = self.run_in(place, place / 'bin' / 'python', '-c', 'import trio2o; print(trio2o.__file__)')
        self.assertIn(str(packages), found)

        conf = directory / 'trio2o.conf'
        conf.write_text(f'[database]\nconnection = sqlite:///{directory}/trio2o.sqlite\n')
        for command in ('db_sync', 'version'):
            printed = self.run_in(place, place / 'bin' / 'trio2o-db-manage', '--config-file', conf, command)
        self.assertRegex(printed, r'\d{4}')
        programs = [place / 'bin' / name for name in SERVICES]
        helped = self.run_in(place, place / 'bin' / 'python', '-c', HELP, *programs)
        for program in programs:
            self.assertRegex(helped, rf'(?m)^usage: {program.name} .*\[--config-file PATH\]')
        plugins = self.run_in(
            place,
            place / 'bin' / 'python',
            '-c',
            'from importlib.metadata import entry_points as found\n'
            'for group in ("tempest.test_plugins", "openstack.cli.extension", "oslo.config.opts"):\n'
            '    print([one.load() for one in found(group=group) if one.value.startswith("trio2o")])',
        )
        self.assertEqual(3, len(plugins.splitlines()), plugins)
        self.assertNotIn('[]', plugins)
