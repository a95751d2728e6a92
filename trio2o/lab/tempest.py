# SPDX-License-Identifier: Apache-2.0
"""``trio2o-lab tempest``: run tempest directly against a pod and through the gateway, and compare.

A test that passes directly has to pass through the gateway; the table names every test that does not.
"""

from __future__ import annotations

import argparse
import configparser
import io
import os
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trio2o.lab.real.errors import SeedFailed
from trio2o.lab.real.lab import RealLab
from trio2o.lab.real.topology import TOP_REGION

FLAVORS = {'trio2o-tempest-1': (128, 1), 'trio2o-tempest-2': (192, 1)}
AUTH = ('auth_url', 'username', 'password', 'project_name', 'user_domain_name', 'project_domain_name')
GOOD = frozenset({'success', 'xfail'})


@dataclass(frozen=True)
class Outcome:
    """The result of one run: the status of each test, ``success``, ``fail``, ``skip`` and so on."""

    region: str
    tests: Mapping[str, str]

    def of(self, status: str) -> set[str]:
        return {test for test, outcome in self.tests.items() if outcome == status}

    @property
    def passed(self) -> set[str]:
        return {test for test, outcome in self.tests.items() if outcome in GOOD}


def configuration(lab: RealLab, region: str, folder: pathlib.Path, images: list[str]) -> configparser.RawConfigParser:
    """Return a tempest.conf for the compute and volume services of one region."""
    admin = lab.credentials()
    flavors = list(FLAVORS)
    conf = configparser.RawConfigParser()
    conf.read_dict(
        {
            'DEFAULT': {'log_file': str(folder / 'tempest.log'), 'debug': 'true'},
            'oslo_concurrency': {'lock_path': str(folder / 'locks')},
            'auth': {
                'use_dynamic_credentials': 'true',
                'admin_username': admin['OS_USERNAME'],
                'admin_password': admin['OS_PASSWORD'],
                'admin_project_name': admin['OS_PROJECT_NAME'],
                'admin_domain_name': admin['OS_USER_DOMAIN_NAME'],
            },
            'identity': {'uri_v3': admin['OS_AUTH_URL'], 'auth_version': 'v3', 'region': TOP_REGION},
            'service_available': {
                'swift': 'false',
                'horizon': 'false',
                # The tests of trio2o.tempestplugin are for the gateway, so a run against a pod skips them.
                'trio2o': str(region == TOP_REGION).lower(),
            },
            'trio2o': {
                'catalog_type': 'trio2o',
                'region': TOP_REGION,
                'stop_pod_command': f'{lab_command(lab, "stop")} {{pod}}',
                'start_pod_command': f'{lab_command(lab, "start")} {{pod}}',
            },
            'network': {
                'region': TOP_REGION,
                'project_networks_reachable': 'false',
                'shared_physical_network': 'false',
            },
            'image': {'region': TOP_REGION},
            'validation': {'run_validation': 'false'},
            'compute': {
                'region': region,
                'image_ref': images[0],
                'image_ref_alt': images[-1],
                'flavor_ref': flavors[0],
                'flavor_ref_alt': flavors[1],
                'fixed_network_name': 'private',
                'min_microversion': '2.1',
                'max_microversion': 'latest',
                'build_interval': '1',
                'build_timeout': '90',
            },
            'compute-feature-enabled': {
                'live_migration': 'false',
                'attach_encrypted_volume': 'false',
                'swap_volume': 'false',
                'rescue': 'true',
                'vnc_console': 'true',
                'resize': 'true',
            },
            'volume': {
                'region': region,
                'catalog_type': 'volumev3',
                'min_microversion': '3.0',
                'max_microversion': 'latest',
                'build_interval': '1',
                'build_timeout': '90',
            },
            'volume-feature-enabled': {'backup': 'true', 'snapshot': 'true', 'extend_attached_volume': 'false'},
        }
    )
    return conf


def lab_command(lab: RealLab, verb: str) -> str:
    """Return a shell command that stops or starts the pod or service that is appended to it."""
    return shlex.join([sys.executable, '-m', 'trio2o.lab.cli', 'real', verb, '--state', str(lab.state_dir)])


def prepare(lab: RealLab, region: str) -> list[str]:
    """Create the flavors for the tests; return the ids of the images."""
    import openstack

    said = lab.credentials(region=region)
    auth = {name: said[f'OS_{name.upper()}'] for name in AUTH}
    cloud = openstack.connect(load_yaml_config=False, load_envvars=False, region_name=region, auth=auth)
    try:
        known = [flavor.id for flavor in cloud.compute.flavors()]
        for name, (ram, disk) in FLAVORS.items():
            if name not in known:
                cloud.create_flavor(name, ram, 1, disk, flavorid=name)
        return [image.id for image in cloud.image.images()]
    except openstack.exceptions.SDKException as error:
        raise SeedFailed(f'the flavors for the tests could not be created: {error}') from None


def run(lab: RealLab, region: str, regexes: list[str], folder: pathlib.Path, concurrency: int) -> Outcome:
    """Run the tests of one region in their own workspace."""
    workspace = folder / region
    (workspace / 'etc').mkdir(parents=True, exist_ok=True)
    with open(workspace / 'etc' / 'tempest.conf', 'w') as file:
        configuration(lab, region, workspace, prepare(lab, region)).write(file)
    top = pathlib.Path(
        subprocess.check_output(
            [sys.executable, '-c', 'import tempest; print(tempest.__path__[0])'], text=True
        ).strip()
    )
    (workspace / '.stestr.conf').write_text(
        f'[DEFAULT]\ntest_path={top}/test_discover\ntop_dir={top.parent}\ngroup_regex=([^\\.]*\\.)*\n'
    )
    environment = {**os.environ, 'TEMPEST_CONFIG_DIR': str(workspace / 'etc'), 'TEMPEST_CONFIG': 'tempest.conf'}
    tests = workspace / 'tests.txt'
    tests.write_text('\n'.join(regexes) + '\n')
    command = [sys.executable, '-m', 'stestr', 'run', '--concurrency', str(concurrency), '--include-list', str(tests)]
    with open(workspace / 'run.log', 'w') as log:
        subprocess.run(command, cwd=workspace, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
    return Outcome(region, outcomes(workspace))


def outcomes(workspace: pathlib.Path) -> dict[str, str]:
    """Read the results of the last run from stestr's repository."""
    from subunit import v2
    from testtools import StreamToDict

    stream = subprocess.run(
        [sys.executable, '-m', 'stestr', 'last', '--subunit'], cwd=workspace, capture_output=True, check=False
    ).stdout
    found: dict[str, str] = {}

    def take(test: Any) -> None:
        name = str(test['id']).split('[')[0]
        found[name] = str(test['status'])

    result = StreamToDict(take)
    result.startTestRun()
    v2.ByteStreamToStreamResult(io.BytesIO(stream), non_subunit_name='stdout').run(result)
    result.stopTestRun()
    return found


def table(direct: Outcome, through: Outcome) -> Iterable[str]:
    """Yield lines that compare two runs and name the tests that pass in only one of them."""
    yield f'{"":24}{"passed":>8}{"failed":>8}{"skipped":>8}'
    for outcome in (direct, through):
        yield (f'{outcome.region:24}{len(outcome.passed):8}{len(outcome.of("fail")):8}{len(outcome.of("skip")):8}')
    lost = sorted(direct.passed - through.passed)
    won = sorted(through.passed - direct.passed)
    yield f'pass on {direct.region} and not through {through.region}: {len(lost)}'
    yield from (f'  {test}: {through.tests.get(test, "not run")}' for test in lost)
    if won:
        yield f'pass through {through.region} and not on {direct.region}: {len(won)}'
        yield from (f'  {test}: {direct.tests.get(test, "not run")}' for test in won)


def default_regions(regexes: list[str]) -> list[str]:
    """Return the regions to run tests in: the plug-in's own tests run only through the gateway."""
    return [TOP_REGION] if all('trio2o' in regex for regex in regexes) else ['Pod1', TOP_REGION]


def command(chosen: argparse.Namespace) -> int:
    lab = RealLab(chosen.state)
    folder = lab.state_dir / 'tempest'
    regions = chosen.regions or default_regions(chosen.regex)
    runs = {}
    for region in regions:
        print(f'running {" ".join(chosen.regex)} on {region}; its log is {folder / region / "run.log"}', flush=True)
        runs[region] = run(lab, region, chosen.regex, folder, chosen.concurrency)
        print(f'  {len(runs[region].passed)} passed, {len(runs[region].of("fail"))} failed', flush=True)
    if len(runs) == 1:
        outcome = next(iter(runs.values()))
        for test in sorted(outcome.of('fail')):
            print(f'  {test}')
        return 1 if outcome.of('fail') or not outcome.passed else 0
    direct, through = runs[regions[0]], runs[regions[-1]]
    print('\n'.join(table(direct, through)))
    return 1 if direct.passed - through.passed or not direct.passed else 0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser('tempest', help='run tempest directly and through the gateway', description=__doc__)
    parser.add_argument('regex', nargs='+', help='tests to run, as for stestr')
    parser.add_argument(
        '--regions',
        nargs='+',
        help=f'the pod, then the gateway (default: Pod1 {TOP_REGION}; only {TOP_REGION} for the tests of trio2o)',
    )
    parser.add_argument(
        '--state',
        default=os.environ.get('TRIO2O_LAB', '.lab'),
        help='folder of the lab (default: $TRIO2O_LAB or .lab)',
    )
    parser.add_argument('--concurrency', type=int, default=2, help='number of tests at the same time (2)')
    parser.set_defaults(run=command)
