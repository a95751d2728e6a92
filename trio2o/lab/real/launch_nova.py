# SPDX-License-Identifier: Apache-2.0
"""A pod's Nova: API, conductor, scheduler and compute as threads of one process, over ``fake://``."""

from __future__ import annotations

import sys

from trio2o.lab.real import serve


def start_services() -> None:
    """Start conductor, scheduler and compute; nova-compute last, since it waits for the conductor."""
    import os_brick
    import os_vif
    from nova import conf, objects, service
    from nova.compute import rpcapi as compute_rpcapi
    from nova.conductor import rpcapi as conductor_rpcapi
    from nova.scheduler import rpcapi as scheduler_rpcapi

    from trio2o.lab.real import messages, nova_driver

    messages.install()
    # Nova loads drivers only from its own package.
    sys.modules['nova.virt.lab'] = nova_driver
    objects.register_all()
    os_brick.setup(conf.CONF)
    os_vif.initialize()
    for binary, topic, other_topic in (
        ('nova-conductor', conductor_rpcapi.RPC_TOPIC, None),
        ('nova-scheduler', scheduler_rpcapi.RPC_TOPIC, None),
        ('nova-compute', compute_rpcapi.RPC_TOPIC, getattr(compute_rpcapi, 'RPC_TOPIC_ALT', None)),
    ):
        topics = {'topic_alt': other_topic} if other_topic else {}
        service.Service.create(binary=binary, topic=topic, **topics).start()


def map_host() -> None:
    """Map the compute host to its cell, so that the first request does not fail."""
    from nova import context
    from nova.objects import host_mapping

    host_mapping.discover_hosts(context.get_admin_context())


if __name__ == '__main__':
    serve.begin('nova-api')
    from nova.wsgi.osapi_compute import application

    start_services()
    map_host()
    serve.serve(application)
