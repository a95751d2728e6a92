# SPDX-License-Identifier: Apache-2.0
"""A page far into a list sorted by name ended the list: pods were asked for five items at a time, 200 times."""

from trio2o.tests.functional.operations.base import ConversationTest, ids


class TestDeepSortedPages(ConversationTest):
    def test_page_after_two_thousand_servers_takes_few_requests(self):
        for pod in self.pods:
            self.cloud.lab.add_servers(pod, 'demo', 1100, name=pod)
        records = [record for pod in self.pods for record in self.cloud.pod(pod).nova.servers.values()]
        wanted = ids(sorted(records, key=lambda record: (record['name'], record['id'])))
        answer = self.nova.get(f'/servers?sort_key=display_name&sort_dir=asc&limit=1&marker={wanted[2100]}')
        self.assertEqual(wanted[2101:2102], ids(answer['servers']))
        self.assertLess(len(self.seen('Pod1')) + len(self.seen('Pod2')), 16)

    def test_pages_are_complete_though_pod_sorts_differently(self):
        """MySQL sorts names without regard to case; items out of our order were lost between pages."""
        records = self.cloud.lab.add_servers('Pod1', 'demo', 20)
        for number, record in enumerate(records):
            record['name'] = chr(ord('A' if number % 2 else 'a') + number)
        self.cloud.set_pod('Pod2', state='maintenance', reason='test')
        self.cloud.runtime.registry.refresh()
        # The emulated pod sorts as Python does, so let it sort by what does not show.
        for record in records:
            record['progress'] = record['name'].lower()
        found, marker = [], ''
        while True:
            answer = self.nova.get(f'/servers?sort_key=progress&sort_dir=asc&limit=3{marker}')
            found += [item['name'] for item in answer['servers']]
            if len(answer['servers']) < 3:
                break
            marker = f'&marker={answer["servers"][-1]["id"]}'
        self.assertEqual([record['name'] for record in records], found)
