# SPDX-License-Identifier: Apache-2.0
"""Sorted lists, read in pages."""

from trio2o.db import jobs, replicas, routings
from trio2o.db.records import NewRouting
from trio2o.tests.functional.admin_api.base import AdminApiTestCase


class TestSort(AdminApiTestCase):
    def pages(self, path, key, field, sort, limit):
        """A field of all items of a list, read in pages."""
        found, url = [], f'{path}?sort={sort}&limit={limit}'
        while url:
            answer = self.assertAnswer(200, self.api.get(url))
            self.assertLessEqual(len(answer[key]), limit)
            found += [item[field] for item in answer[key]]
            url = answer.json.get(f'{key}_links', [{}])[0].get('href')
        return found

    def test_pods_are_sorted_over_pages(self):
        self.cloud.set_pod('Pod1', dc_name='b')
        self.cloud.set_pod('Pod2', dc_name='a')
        self.assertEqual(['Pod2', 'Pod1'], self.pages('/pods', 'pods', 'pod_name', 'pod_name:desc', 1))
        self.assertEqual(['Pod2', 'Pod1'], self.pages('/pods', 'pods', 'pod_name', 'dc_name', 1))
        self.assertEqual(['Pod1', 'Pod2'], self.pages('/pods', 'pods', 'pod_name', 'state,dc_name:desc', 1))
        # If a field is given twice, its first direction counts.
        self.assertEqual(['Pod2', 'Pod1'], self.pages('/pods', 'pods', 'pod_name', 'dc_name:asc,dc_name:desc', 1))

    def test_routings_are_sorted_over_pages(self):
        for number in range(7):
            routings.record(
                self.db,
                NewRouting(
                    resource_type='server' if number % 2 else 'volume',
                    top_id=f'r{number}',
                    pod_id=self.cloud.pod_ids['Pod1'],
                    project_id='p',
                ),
            )
        expected = ['r5', 'r3', 'r1', 'r6', 'r4', 'r2', 'r0']
        for limit in (1, 2, 3, 7, 9):
            found = self.pages('/routings', 'routings', 'top_id', 'resource_type,top_id:desc', limit)
            self.assertEqual(expected, found)
        self.assertEqual('r6', self.pages('/routings', 'routings', 'top_id', 'id:desc', 3)[0])

    def test_jobs_are_sorted_over_pages(self):
        made = [jobs.submit(self.db, 'some_type', key, {}) for key in ('b', 'c', 'a')]
        found = self.pages('/jobs', 'jobs', 'resource_key', 'type,resource_key', 2)
        self.assertEqual(['a', 'b', 'c'], found[: len(made)])

    def test_replicas_are_sorted_over_pages(self):
        for key in ('b', 'a', 'c'):
            replicas.upsert_object(self.db, 'flavor', key, {}, key)
        found = self.pages('/replicas', 'replicas', 'key', 'key:desc,pod_name', 4)
        self.assertEqual(['c', 'c', 'b', 'b', 'a', 'a'], found)

    def test_marker_of_remaining_must_be_a_number_in_range(self):
        path = f'/pods/{self.cloud.pod_ids["Pod1"]}/remaining'
        self.assertAnswer(200, self.api.get(path))
        self.assertRefused(400, "'marker'", self.api.get(f'{path}?marker={"9" * 40}'))
