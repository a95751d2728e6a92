# SPDX-License-Identifier: Apache-2.0
"""Compare the negotiation of microversions with the code of Nova and Cinder."""

import cinder.api.openstack.wsgi
import cinder.exception
import nova.api.openstack.wsgi
import nova.exception
import testtools
from hypothesis import given, note, settings
from hypothesis import strategies as st

from trio2o import cinder_apigw, exception, nova_apigw
from trio2o.web import microversion
from trio2o.web.microversion import Version, VersionRange

NOVA, CINDER = nova_apigw.SERVICE, cinder_apigw.SERVICE

numbers = st.one_of(
    st.sampled_from(['2.1', '2.104', '2.105', '3.0', '3.71', '3.72', 'latest', 'LATEST', '2', '2.01', '2.1.1', '']),
    st.from_regex(r'\A[0-9]{1,3}\.[0-9]{1,3}\Z'),
    st.text('0123456789. latesx', max_size=8),
)
names = st.sampled_from(['compute', 'Compute', 'volume', 'Volume', 'volumev3', 'block-storage', 'identity', ''])
items = st.builds('{}{}{}'.format, names, st.sampled_from([' ', '  ', '\t', '']), numbers)
values = st.one_of(
    st.lists(items, min_size=1, max_size=4).flatmap(
        lambda found: st.sampled_from([',', ', ', ' ,']).map(lambda comma: comma.join(found))
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
)


def ours(service, headers):
    try:
        return str(microversion.negotiate(service, headers, service.code_versions))
    except exception.Trio2oException as error:
        return error.code


def request(module, headers):
    made = module.Request.blank('/')
    for name, value in headers.items():
        made.headers[name] = value
    return made


def novas(headers):
    made = request(nova.api.openstack.wsgi, headers)
    try:
        made.set_api_version_request()
    except nova.exception.InvalidGlobalAPIVersion:
        return 406
    except nova.exception.InvalidAPIVersionString:
        return 400
    return made.api_version_request.get_string()


def cinders(headers):
    made = request(cinder.api.openstack.wsgi, headers)
    try:
        made.set_api_version_request('/v3/volumes')
    except cinder.exception.VersionNotFoundForAPIMethod:
        return 400
    except cinder.exception.InvalidGlobalAPIVersion:
        return 406
    except cinder.exception.InvalidAPIVersionString:
        return 400
    except ValueError:
        return None  # Cinder's answer to an item of one or three words is a 500
    return made.api_version_request.get_string()


class TestOracles(testtools.TestCase):
    @settings(max_examples=400)
    @given(values, st.none() | numbers)
    def test_compute_header_gives_result_of_nova(self, value, legacy):
        headers = {'openstack-api-version': value}
        if legacy is not None:
            headers['x-openstack-nova-api-version'] = legacy
        self.assertEqual(novas(headers), ours(NOVA, headers))

    @settings(max_examples=200)
    @given(st.one_of(numbers, values))
    def test_legacy_header_gives_result_of_nova(self, value):
        headers = {'x-openstack-nova-api-version': value}
        self.assertEqual(novas(headers), ours(NOVA, headers))

    @settings(max_examples=400)
    @given(values)
    def test_volume_header_gives_result_of_cinder(self, value):
        headers = {'openstack-api-version': value}
        note(value)
        wanted = cinders(headers)
        found = ours(CINDER, headers)
        self.assertEqual(found if wanted is None else wanted, found)

    def test_no_header_gives_lowest_version(self):
        self.assertEqual(('2.1', '3.0'), (ours(NOVA, {}), ours(CINDER, {})))


class TestNegotiation(testtools.TestCase):
    def test_number_with_thousands_of_digits_is_refused(self):
        for service in (NOVA, CINDER):
            value = f'{service.version_name} 2.{"9" * 5000}'
            self.assertIn(ours(service, {'openstack-api-version': value}), (400, 406))

    def test_range_of_pods_limits_version(self):
        supported = VersionRange(Version(2, 1), Version(2, 60))
        headers = {'openstack-api-version': 'compute latest'}
        self.assertEqual(Version(2, 60), microversion.negotiate(NOVA, headers, supported))
        error = self.assertRaises(
            exception.NotAcceptable,
            microversion.negotiate,
            NOVA,
            {'openstack-api-version': 'compute 2.61'},
            supported,
        )
        self.assertIn('Minimum is 2.1 and maximum is 2.60', error.message)
        self.assertEqual('compute 2.61', error.headers['OpenStack-API-Version'])

    def test_answers_have_headers_of_version(self):
        self.assertEqual(
            [
                ('OpenStack-API-Version', 'compute 2.79'),
                ('Vary', 'OpenStack-API-Version'),
                ('X-OpenStack-Nova-API-Version', '2.79'),
                ('Vary', 'X-OpenStack-Nova-API-Version'),
            ],
            microversion.response_headers(NOVA, Version(2, 79)),
        )
        self.assertEqual(
            [('OpenStack-API-Version', 'volume 3.60'), ('Vary', 'OpenStack-API-Version')],
            microversion.response_headers(CINDER, Version(3, 60)),
        )

    @given(st.tuples(st.integers(1, 99), st.integers(0, 999)), st.tuples(st.integers(1, 99), st.integers(0, 999)))
    def test_versions_are_ordered_and_parsed(self, one, two):
        self.assertEqual(one < two, Version(*one) < Version(*two))
        self.assertEqual(Version(*one), Version.parse(str(Version(*one))))
