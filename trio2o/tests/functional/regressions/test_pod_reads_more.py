# SPDX-License-Identifier: Apache-2.0
"""Values that pods understand although they look odd: the quota counts what the pod makes of them."""

import hypothesis
from hypothesis import strategies as st
from nova.api.openstack import common

from trio2o.gateway.requested import flavor_id_of, whole_number
from trio2o.tests.functional.quota.base import QuotaCase


class TestFlavorReferences(QuotaCase):
    limits = {'instances': 9, 'cores': 3}

    def test_reference_with_query_or_fragment_claims_quota(self):
        self.make_flavor('huge', vcpus=4, ram=1)
        for reference in (
            'huge',
            'huge?',
            'huge#',
            'huge?/x',
            'huge?/f1',
            'http://a/b/huge?x=1#f1',
            '\thuge',
            'x/huge',
        ):
            answer = self.boot(status=403, flavor=reference)
            self.assertIn('cores', answer.fault, reference)
        self.assertEqual({}, self.used())
        self.assertEqual([], self.claims())

    def test_server_of_odd_reference_is_counted(self):
        self.boot(flavor='f1?')
        self.assertUsed(instances=1, cores=2, ram=512)

    def test_number_as_reference_is_its_text(self):
        self.make_flavor('1.0', vcpus=4, ram=1)
        for reference in ('1.0', 1.0):
            self.boot(status=403, flavor=reference)
        server_id = self.server()
        answer = self.cloud.nova.post(f'/servers/{server_id}/action', {'resize': {'flavorRef': 1.0}})
        self.assertEqual(403, answer.status, answer.text)

    def test_malformed_reference_is_400_and_not_sent(self):
        self.cloud.lab.clear_logs()
        self.boot(status=400, flavor='http://[')
        self.assertEqual([], [each for each in self.cloud.pod('Pod1').nova.requests if each.method == 'POST'])

    @hypothesis.given(st.text(st.sampled_from('af1/?#:\t @[]\u00e9')) | st.integers() | st.floats())
    def test_reference_is_read_as_nova_reads_it(self, reference):
        try:
            wanted = common.get_id_from_href(reference)
        except ValueError:
            wanted = None
        self.assertEqual(wanted, flavor_id_of(reference))


class TestNumbers(QuotaCase):
    limits = {'instances': 2, 'gigabytes': 5}
    ZEROS = '0' * 40

    def test_count_with_leading_zeros_claims_quota(self):
        for count in ('3', f'{self.ZEROS}3', 3.0):
            self.boot(status=403, min_count=count, max_count=count)
        self.assertEqual({}, self.used())
        self.boot(min_count=f'{self.ZEROS}2', max_count=f'{self.ZEROS}2')
        # One of the servers is recorded after the answer; until then it is claimed.
        self.assertEqual(2, sum(self.used()['instances']))

    def test_size_with_leading_zeros_claims_quota(self):
        volume_id = self.volume()
        for size in (6, f'{self.ZEROS}6', '9' * 300, 6.0):
            answer = self.cloud.cinder.post(f'/volumes/{volume_id}/action', {'os-extend': {'new_size': size}})
            self.assertEqual(413, answer.status, answer.text)
        self.assertUsed(gigabytes=1)

    @hypothesis.given(st.from_regex(r'[0-9]{1,60}', fullmatch=True))
    def test_number_is_what_int_reads(self, text):
        self.assertEqual(min(int(text), 0x7FFFFFFF), whole_number(text))


class TestQueries(QuotaCase):
    def test_fragment_in_query_is_part_of_it(self):
        self.server()
        other = self.cloud.project_id('alt')
        self.assertEqual(403, self.cloud.nova.get(f'/limits?tenant_id={other}').status)
        self.assertEqual(403, self.cloud.nova.get(f'/limits?#&tenant_id={other}').status)
