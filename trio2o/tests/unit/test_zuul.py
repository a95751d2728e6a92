# SPDX-License-Identifier: Apache-2.0
"""The names in .zuul.d exist: jobs, playbooks, tox environments, bindep profiles, tests, DevStack's settings."""

import configparser
import pathlib
import re

import testtools
import yaml

TOP = pathlib.Path(__file__).resolve().parents[3]
ZUUL = TOP / '.zuul.d'
# Jobs and templates of other projects that the jobs of Trio2o use.
ELSEWHERE = {
    'devstack-tempest',
    'openstack-tox',
    'openstack-tox-cover',
    'openstack-tox-functional-py312',
}
TEMPLATES = {
    'openstack-python3-jobs',
    'publish-openstack-docs-pti',
    'release-notes-jobs-python3',
}


def items(kind):
    found = []
    for path in sorted(ZUUL.glob('*.yaml')):
        found += [item[kind] for item in yaml.safe_load(path.read_text()) if kind in item]
    return found


class TestZuul(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.jobs = {job['name']: job for job in items('job')}
        self.project = items('project')[0]

    def vars_of(self, name):
        """The variables of a job, including those of its parents in this repository."""
        job = self.jobs.get(name)
        if job is None:
            return {}
        return {**self.vars_of(job['parent']), **job.get('vars', {})}

    def test_names_of_jobs_are_unique(self):
        self.assertEqual(len(items('job')), len(self.jobs))

    def test_parents_of_jobs_exist(self):
        for job in self.jobs.values():
            self.assertIn(job['parent'], ELSEWHERE | set(self.jobs), job['name'])

    def test_pipelines_run_each_job(self):
        self.assertEqual(set(), set(self.project['templates']) - TEMPLATES)
        run = set()
        pipelines = [held for held in self.project.values() if 'jobs' in held]
        self.assertNotEqual([], pipelines)
        for pipeline in pipelines:
            for entry in pipeline['jobs']:
                name = entry if isinstance(entry, str) else next(iter(entry))
                self.assertIn(name, ELSEWHERE | set(self.jobs))
                self.assertFalse(self.jobs.get(name, {}).get('abstract'), name)
                run.add(name)
        self.assertEqual(set(), {name for name, job in self.jobs.items() if not job.get('abstract')} - run)

    def test_gate_runs_only_jobs_of_check(self):
        def names(pipeline):
            return {job for job in self.project[pipeline]['jobs'] if isinstance(job, str)}

        self.assertEqual(set(), names('gate') - names('check'))

    def test_playbooks_of_jobs_exist(self):
        for job in self.jobs.values():
            for when in ('pre-run', 'run', 'post-run'):
                if when in job:
                    playbook = TOP / job[when]
                    self.assertTrue(playbook.is_file(), playbook)
                    self.assertEqual('all', yaml.safe_load(playbook.read_text())[0]['hosts'])

    def test_tox_environments_exist(self):
        tox = configparser.RawConfigParser()
        tox.read(TOP / 'tox.ini')
        for name in self.jobs:
            wanted = self.vars_of(name).get('tox_envlist')
            # The jobs with tempest name an environment of tempest's.
            if wanted not in (None, 'all'):
                self.assertIn(f'testenv:{wanted}', tox.sections(), name)

    def test_bindep_profiles_exist(self):
        profiles = set(re.findall(r'[\w:]+', ' '.join(re.findall(r'\[(.*)\]', (TOP / 'bindep.txt').read_text()))))
        for name in self.jobs:
            for profile in self.vars_of(name).get('bindep_profile', '').split():
                self.assertIn(profile, profiles, name)

    def test_parts_of_tools_test_exist(self):
        parts = re.findall(r'(?:^part_|\[)([\w-]+)(?:\(\)|\]=)', (TOP / 'tools' / 'test').read_text(), re.MULTILINE)
        for name in self.jobs:
            for part in self.vars_of(name).get('test_parts', '').split():
                self.assertIn(part, parts)

    def test_regex_selects_tempest_tests(self):
        tests = [
            '.'.join(path.relative_to(TOP).with_suffix('').parts)
            for path in (TOP / 'trio2o' / 'tempestplugin' / 'tests').rglob('test_*.py')
        ]
        for name in self.jobs:
            regex = self.vars_of(name).get('tempest_test_regex', '')
            if 'trio2o' in regex:
                self.assertTrue(any(re.search(regex, test) for test in tests), name)

    def test_devstack_settings_and_services_exist(self):
        settings = (TOP / 'devstack' / 'settings').read_text()
        services = set(re.search(r'^enable_service (.*)$', settings, re.MULTILINE).group(1).split())
        for job in self.jobs.values():
            for part in (job.get('vars', {}), job.get('group-vars', {}).get('subnode', {})):
                for name in part.get('devstack_localrc', {}):
                    if name.startswith(('TRIO2O_', 'POD_')):
                        self.assertIn(f'{name}=${{{name}:-', settings)
                reported = part.get('devstack_services', {})
                own = {service for service in reported if service.startswith('t-') and service != 'tls-proxy'}
                self.assertLessEqual(own, services)

    def test_second_node_runs_only_services_of_a_pod(self):
        """Like devstack/local.conf.node_2."""
        node = self.jobs['trio2o-multiregion']['group-vars']['subnode']
        sample = (TOP / 'devstack' / 'local.conf.node_2').read_text()
        self.assertIn(f'REGION_NAME={node["devstack_localrc"]["REGION_NAME"]}', sample)
        for service, is_on in node['devstack_services'].items():
            if service.startswith('t-'):
                self.assertFalse(is_on, service)
        listed = re.findall(r'[\w-]+', ','.join(re.findall(r'^ENABLED_SERVICES\+?=(.*)$', sample, re.MULTILINE)))
        missing = [name for name in listed if not node['devstack_services'].get(name, name == 'n-novnc')]
        self.assertEqual([], missing)
        # Without it, stack.sh creates no account and no endpoint.
        self.assertIn('key', listed)

    def test_protocol_of_ovn_fits_tls_proxy(self):
        """With tls-proxy, which the parent enables on each node, DevStack's OVN accepts only TLS."""
        job = self.jobs['trio2o-multiregion']
        node = job['group-vars']['subnode']
        is_tls = [part['devstack_services'].get('tls-proxy', True) for part in (job['vars'], node)]
        wanted = 'ssl' if is_tls[0] else 'tcp'
        remotes = [node['devstack_localrc'][name].partition(':')[0] for name in ('OVN_NB_REMOTE', 'OVN_SB_REMOTE')]
        self.assertEqual(([is_tls[0]] * 2, [wanted] * 2), (is_tls, remotes))
