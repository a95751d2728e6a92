# SPDX-License-Identifier: Apache-2.0
"""The order of lists that are sorted by name, when the databases of pods compare names differently."""

import itertools

from trio2o.tests.functional.operations.base import ConversationTest, ids

NAMES = {'Pod1': ('a', 'C', 'Z z', '_x', 'b'), 'Pod2': ('B', 'd', 'é', 'D', '_x')}


class TestOrderOfNames(ConversationTest):
    def setUp(self):
        super().setUp()
        for pod, names in NAMES.items():
            for name in names:
                self.cloud.lab.add_servers(pod, 'demo', name=name)[0]['name'] = name
                self.cloud.lab.add_volumes(pod, 'demo', name=name)[0]['name'] = name

    def collations(self):
        """Let each combination of the pods ignore the case of names."""
        for ignoring in itertools.product((False, True), repeat=len(NAMES)):
            for pod, ignores_case in zip(NAMES, ignoring, strict=True):
                self.cloud.pod(pod).nova.settings.ignores_case = ignores_case
                self.cloud.pod(pod).cinder.settings.ignores_case = ignores_case
            yield ignoring

    def listed(self, client, path, key):
        answer = client.get(path)
        self.assertEqual(200, answer.status, answer.text)
        return ids(answer[key])

    def walk(self, client, path, key, limit):
        """The ids in pages that each start after the last item of the page before."""
        found, marker = [], ''
        while page := self.listed(client, f'{path}&limit={limit}{marker}', key):
            found += page
            marker = f'&marker={page[-1]}'
            self.assertLess(len(found), 50)
        return found

    def assert_same_order(self, client, service, path, key):
        for ignoring in self.collations():
            whole = self.listed(client, path, key)
            self.assertEqual(sum(map(len, NAMES.values())), len(set(whole)))
            for limit in (1, 3):
                self.assertEqual(whole, self.walk(client, path, key, limit), (ignoring, limit))
            for pod in NAMES:
                own = self.listed(self.cloud.direct(pod, service), path, key)
                self.assertEqual(own, [each for each in whole if each in own], (ignoring, pod))

    def test_pages_of_servers_have_the_order_of_the_whole_list_and_of_each_pod(self):
        for direction in ('asc', 'desc'):
            for path in ('/servers/detail', '/servers'):
                self.assert_same_order(
                    self.nova, 'nova', f'{path}?sort_key=display_name&sort_dir={direction}', 'servers'
                )

    def test_pages_of_volumes_have_the_order_of_the_whole_list_and_of_each_pod(self):
        for direction in ('asc', 'desc'):
            self.assert_same_order(self.cinder, 'cinder', f'/volumes/detail?sort=name:{direction}', 'volumes')

    def test_offsets_have_the_order_of_the_whole_list(self):
        for _ignoring in self.collations():
            whole = self.listed(self.cinder, '/volumes?sort=name:asc', 'volumes')
            pages = [
                self.listed(self.cinder, f'/volumes?sort=name:asc&limit=3&offset={at}', 'volumes')
                for at in (0, 3, 6, 9)
            ]
            self.assertEqual(whole, sum(pages, []))

    def test_names_are_compared_by_code_point_between_pods(self):
        names = {record['id']: record['name'] for pod in NAMES for record in self.cloud.pod(pod).nova.servers.values()}
        whole = self.listed(self.nova, '/servers?sort_key=display_name&sort_dir=asc', 'servers')
        self.assertEqual(sorted(name for some in NAMES.values() for name in some), [names[each] for each in whole])
