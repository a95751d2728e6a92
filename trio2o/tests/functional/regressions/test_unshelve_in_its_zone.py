# SPDX-License-Identifier: Apache-2.0
"""Unshelving into the zone a server is in sent ``{"unshelve": {}}``, which Nova refuses."""

import json

from trio2o.tests.functional.operations.base import ConversationTest


class TestUnshelve(ConversationTest):
    def unshelve(self, inner):
        (server,) = self.cloud.lab.add_servers('Pod2', 'demo', vm_state='shelved_offloaded')
        self.nova.post(f'/servers/{server["id"]}/action', {'unshelve': inner}, version='2.91')
        return json.loads(self.seen('Pod2', method='POST')[-1].body)['unshelve']

    def test_zone_of_server_is_left_out_of_unshelve(self):
        self.assertIsNone(self.unshelve({'availability_zone': 'az2'}))
        self.assertEqual({'host': 'h'}, self.unshelve({'availability_zone': 'az2', 'host': 'h'}))

    def test_zone_is_translated_to_name_in_pod(self):
        self.cloud.set_pod('Pod2', pod_az_name='nova')
        self.cloud.runtime.registry.refresh()
        self.assertEqual({'availability_zone': 'nova'}, self.unshelve({'availability_zone': 'az2'}))

    def test_other_unshelve_body_is_sent_unchanged(self):
        for inner in (None, {}, {'availability_zone': None}, {'availability_zone': 'az1'}, {'host': 'h'}, []):
            self.assertEqual(inner, self.unshelve(inner))

    def test_pinned_zone_of_server_becomes_null(self):
        (server,) = self.cloud.lab.add_servers('Pod2', 'demo')
        self.nova.put(f'/servers/{server["id"]}', {'server': {'pinned_availability_zone': 'az2'}}, version='2.104')
        sent = json.loads(self.seen('Pod2', method='PUT')[-1].body)
        self.assertEqual({'server': {'pinned_availability_zone': None}}, sent)
