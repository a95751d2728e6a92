# SPDX-License-Identifier: Apache-2.0
"""``openstack trio2o pod drain --move`` and ``--status``; without them it is in ``test_pod``."""

from trio2o.tests.functional.osc.base import MovesTestCase


class TestDrain(MovesTestCase):
    def setUp(self):
        super().setUp()
        self.moved, self.kept = self.volume('moved'), self.volume('kept')
        self.snapshot = self.cloud.cinder.post('/snapshots', {'snapshot': {'volume_id': self.kept}})['snapshot']['id']

    def test_dry_run_lists_members_and_what_speaks_against_them(self):
        line = 'pod drain Pod1 --move --zone az2 --dry-run'
        rows = {row['Resource']: row for row in self.read(line)}
        self.assertEqual(('Pod2', 0), (rows[self.moved]['To'], rows[self.moved]['Wave']))
        self.assertEqual('snapshots', rows[self.kept]['Findings'][0]['code'])
        printed = self.run_command(line)
        self.assertIn('1 of 2 can move', printed.err)
        self.assertIn('blocker snapshots: The volume has snapshots', printed.err)
        self.assertIn('1 snapshot: Moves take servers and volumes only.', printed.err)
        self.assertRegex(printed.out, f'volume +\\| {self.kept} .* 1 blocker')
        self.assertEqual('enabled', self.read('pod show Pod1')['state'])
        self.assertEqual([], self.read('move group list'))

    def test_drain_reports_what_stays_until_pod_can_be_deleted(self):
        self.refused('has not been drained by moves', 'pod drain Pod1 --status')
        line = 'pod drain Pod1 --move --target-pod Pod2 --canary 1 --reason "lease ends" --wait --confirm-after 0'
        with self.jobs_running():
            printed = self.run_command(line)
        self.assertIn('completed: 1 moved, 1 refused', printed.err)
        self.assertRegex(printed.out, f'1 +\\| volume +\\| refused +\\| The volume has snapshots.*{self.kept}')
        self.assertIn('Pod1 (draining) holds 1 snapshot, 1 volume, of one project.', printed.err)
        self.assertIn("'openstack trio2o pod drain Pod1 --move' takes what is left", printed.err)
        pod = self.read('pod show Pod1')
        self.assertEqual(('draining', 'lease ends'), (pod['state'], pod['state_reason']))
        rows = {row['Type']: row for row in self.read('pod drain Pod1 --status')}
        self.assertEqual([self.kept], rows['volume']['Resources'])
        self.assertEqual((1, [self.snapshot]), (rows['snapshot']['Count'], rows['snapshot']['Resources']))
        self.cloud.cinder.delete(f'/snapshots/{self.snapshot}')
        self.assertEqual(404, self.cloud.cinder.get(f'/snapshots/{self.snapshot}').status)
        with self.jobs_running():
            self.run_command('pod drain Pod1 --move --target-pod Pod2')
            printed = self.run_command('pod drain Pod1 --status --watch')
        self.assertIn('Moved but not confirmed: 1. Pod1 can be deleted only after', printed.err)
        self.assertNotIn('To delete the pod', printed.err)
        group = self.names('move group list --kind drain --source-pod Pod1 --active', 'ID')[0]
        self.run_command(f'move group confirm {group}')
        with self.jobs_running():
            printed = self.run_command('pod drain Pod1 --status --watch')
        self.assertIn("To delete the pod: 'openstack trio2o pod delete Pod1'.", printed.err)
        self.assertEqual('', printed.out.strip())

    def test_second_drain_names_the_first(self):
        group = self.read('pod drain Pod1 --move --target-pod Pod2')[0]['ID']
        self.refused(f"'openstack trio2o move group show {group}'", 'pod drain Pod1 --move --target-pod Pod2')

    def test_options_of_another_form_are_refused(self):
        for words, options in (
            ("--canary is an option of 'pod drain --move'", '--canary 1'),
            ("--max-failures is an option of 'pod drain --move'", '--list --max-failures 0'),
            ("--zone is an option of 'pod drain --move'", '--status --zone az2'),
            ("--watch is an option of 'pod drain --status'", '--move --watch'),
            ("--limit is an option of 'pod drain' and 'pod drain --list'", '--move --limit 0'),
            ("--reason is an option of 'pod drain' and 'pod drain --move'", '--status --reason x'),
            ('not allowed with argument', '--move --status'),
            ('--dry-run changes nothing', '--move --dry-run --wait'),
            ('--dry-run changes nothing', '--move --dry-run --reason x'),
        ):
            self.refused(words, f'pod drain Pod1 {options}')
        self.refused("'Pod9'", 'pod drain Pod9 --move')
        self.refused('there is no pod Pod9', 'pod drain Pod1 --move --target-pod Pod9')
        self.assertEqual('enabled', self.read('pod show Pod1')['state'])
