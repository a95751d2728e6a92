# SPDX-License-Identifier: Apache-2.0
"""``application`` of trio2o-cinder-apigw, for WSGI servers."""

from trio2o.wsgi.load import load_application

application = load_application('trio2o.cinder_apigw', 'trio2o-cinder-apigw')
