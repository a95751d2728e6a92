# SPDX-License-Identifier: Apache-2.0
"""The Admin API v1.0, for operators: a table of rows like those of the gateways, answered from the database."""

from trio2o.api import bindings, jobs, pods, replicas, routings, versions
from trio2o.web.operations import ADMIN, READER, Operation, OperationTable
from trio2o.web.service import Service

OPERATIONS = OperationTable(
    [
        Operation('pods.list', 'GET', '/pods', pods.list_pods, role=READER),
        Operation('pods.show', 'GET', '/pods/{pod_id}', pods.show_pod, role=READER),
        Operation('pods.create', 'POST', '/pods', pods.create_pod, role=ADMIN),
        Operation('pods.replace', 'PUT', '/pods/{pod_id}', pods.update_pod, role=ADMIN),
        Operation('pods.update', 'PATCH', '/pods/{pod_id}', pods.update_pod, role=ADMIN),
        Operation('pods.delete', 'DELETE', '/pods/{pod_id}', pods.delete_pod, role=ADMIN),
        Operation('bindings.list', 'GET', '/bindings', bindings.list_bindings, role=READER),
        Operation('bindings.show', 'GET', '/bindings/{binding_id}', bindings.show_binding, role=READER),
        Operation('bindings.create', 'POST', '/bindings', bindings.create_binding, role=ADMIN),
        Operation('bindings.delete', 'DELETE', '/bindings/{binding_id}', bindings.delete_binding, role=ADMIN),
        Operation('routings.list', 'GET', '/routings', routings.list_routings, role=READER),
        Operation('routings.show', 'GET', '/routings/{routing_id}', routings.show_routing, role=READER),
        Operation('routings.create', 'POST', '/routings', routings.create_routing, role=ADMIN),
        Operation('routings.replace', 'PUT', '/routings/{routing_id}', routings.update_routing, role=ADMIN),
        Operation('routings.update', 'PATCH', '/routings/{routing_id}', routings.update_routing, role=ADMIN),
        Operation('routings.delete', 'DELETE', '/routings/{routing_id}', routings.delete_routing, role=ADMIN),
        Operation('jobs.list', 'GET', '/jobs', jobs.list_jobs, role=READER),
        Operation('jobs.show', 'GET', '/jobs/{job_id}', jobs.show_job, role=READER),
        Operation('jobs.redo', 'POST', '/jobs/{job_id}/redo', jobs.redo_job, role=ADMIN),
        Operation('jobs.cancel', 'POST', '/jobs/{job_id}/cancel', jobs.cancel_job, role=ADMIN),
        Operation('replicas.list', 'GET', '/replicas', replicas.list_replicas, role=READER),
        Operation('usages.list', 'GET', '/usages', replicas.list_usages, role=READER),
    ]
)

SERVICE = Service(
    name='api',
    service_type='',
    prefix='/v1.0',
    operations=OPERATIONS,
    pages={
        '': versions.list_versions,
        '/': versions.list_versions,
        '/v1.0': versions.show_version,
        '/v1.0/': versions.show_version,
    },
    has_project_in_path=False,
    compat_request_id=False,
    not_allowed_status=405,
)
