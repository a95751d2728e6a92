# SPDX-License-Identifier: Apache-2.0
"""``application`` of trio2o-api, for WSGI servers."""

from trio2o.wsgi.load import load_application

application = load_application('trio2o.api', 'trio2o-api')
