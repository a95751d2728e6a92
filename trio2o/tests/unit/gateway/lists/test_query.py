# SPDX-License-Identifier: Apache-2.0
"""The page of a query is the one that Nova and Cinder read, also if parameters are repeated."""

from urllib.parse import urlencode

import testtools
import webob
import webob.exc
from cinder.api import common as cinder_common
from cinder.api.openstack import wsgi as cinder_wsgi
from hypothesis import given, settings
from hypothesis import strategies as st
from nova.api.openstack import common as nova_common

from trio2o.cinder_apigw.volumes import VolumeList
from trio2o.gateway.lists.query import PageQuery
from trio2o.nova_apigw.servers.list import ServerList

NUMBERS = st.sampled_from(('0', '1', '7', '007', '999', '1000', '1001', '9' * 9))
PARAMETERS = st.one_of(
    st.tuples(st.just('limit'), NUMBERS),
    st.tuples(st.just('marker'), st.sampled_from(('a', 'b', 'c'))),
    st.tuples(st.just('offset'), NUMBERS),
    st.tuples(st.just('name'), st.sampled_from(('limit', 'x'))),
)
QUERIES = st.lists(PARAMETERS, max_size=6)


class TestPageQuery(testtools.TestCase):
    @settings(max_examples=100)
    @given(QUERIES)
    def test_page_of_servers_is_that_of_nova(self, query):
        request = webob.Request.blank(f'/servers?{urlencode(query)}')
        wanted = nova_common.get_limit_and_marker(request)
        found = PageQuery.parse(query, ServerList('/servers'))
        self.assertEqual(wanted, (found.limit, found.marker))

    @settings(max_examples=100)
    @given(QUERIES)
    def test_page_of_volumes_is_that_of_cinder(self, query):
        request = cinder_wsgi.Request.blank(f'/volumes?{urlencode(query)}')
        wanted = cinder_common.get_pagination_params(request.params.copy())
        found = PageQuery.parse(query, VolumeList('/volumes'))
        self.assertEqual(wanted, (found.marker, found.limit, found.offset))
