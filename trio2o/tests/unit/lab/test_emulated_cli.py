# SPDX-License-Identifier: Apache-2.0
"""``trio2o-lab emulated up``: the cloud that the options describe, and the output."""

import argparse

import testtools

from trio2o.lab.emulated import cli


class TestOptions(testtools.TestCase):
    def parse(self, *words):
        parser = argparse.ArgumentParser()
        cli.add_parser(parser.add_subparsers(dest='kind'))
        return parser.parse_args(['emulated', 'up', *words])

    def test_options_describe_the_cloud(self):
        chosen = self.parse(
            '--pods', '3', '--servers', '4', '--volumes', '2', '--delay-ms', '50', '--zones', 'az1,az2', '--fast'
        )
        cloud = cli.build(chosen)
        self.assertEqual(['Pod1', 'Pod2', 'Pod3'], list(cloud.pods))
        pod = cloud.pod('Pod3')
        self.assertEqual((4, 2), (len(pod.nova.servers), len(pod.cinder.volumes)))
        self.assertEqual(('az1', 'az2'), pod.nova.settings.zones)
        self.assertEqual([0.05], [fault.seconds for fault in pod.nova.faults])
        self.assertEqual(0, pod.nova.requests.maxlen)

    def test_description_gives_working_tokens(self):
        cloud = cli.build(self.parse())
        lines = cli.describe(cloud, 3600).splitlines()
        tokens = {line.split()[2]: line.split()[3] for line in lines if line.startswith('# token')}
        self.assertEqual({'demo', 'admin'}, set(tokens))
        for user, token in tokens.items():
            self.assertEqual(user, cloud.keystone.find(token).user)
        self.assertIn('export OS_AUTH_URL=http://keystone.test:5000/v3', lines)
