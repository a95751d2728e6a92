# SPDX-License-Identifier: Apache-2.0
"""Events that Neutron and Cinder send, each to the pod of its server."""

from trio2o.nova_apigw.external_events import SplitEvents
from trio2o.resources import SERVER
from trio2o.web.operations import Operation

OPERATIONS = [
    Operation('server_external_events.create', 'POST', '/os-server-external-events', SplitEvents(SERVER)),
]
