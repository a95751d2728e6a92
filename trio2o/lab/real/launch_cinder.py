# SPDX-License-Identifier: Apache-2.0
"""A pod's Cinder: API, scheduler, volume and backup as green threads of one process, over ``fake://``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any


def keep_own_heartbeat(service_class: Any) -> None:
    """Let several services run in one process.

    Cinder stores the id of the service in a class attribute, so all would report as the last one that started.
    """
    report: Callable[[Any], None] = service_class.report_state

    def report_state(self: Any) -> None:
        service_class.service_id = self.origin_service_id
        report(self)

    service_class.report_state = report_state


def stay_unprivileged() -> None:
    """Run privileged functions in this process instead of as root; for backups, attach the file of the volume."""
    import cinder.privsep
    import os_brick.privileged
    from cinder.backup import manager

    from trio2o.lab.real import cinder_drivers

    cinder.privsep.sys_admin_pctxt.set_client_mode(False)
    os_brick.privileged.default.set_client_mode(False)

    def attach(self: Any, context: Any, device: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {'device': {'path': cinder_drivers.device_path(device)}, 'conn': {'data': {}}, 'connector': None}

    def detach(*args: Any, **kwargs: Any) -> None:
        return None

    manager.BackupManager._attach_device = attach
    manager.BackupManager._detach_device = detach


def start_services(conf: Any) -> None:
    import os_brick
    from cinder import service, utils

    from trio2o.lab.real import messages

    messages.install()
    os_brick.setup(conf)
    keep_own_heartbeat(service.Service)
    service.Service.create(binary='cinder-scheduler').start()
    service.Service.create(
        binary='cinder-volume',
        host=f'{conf.host}@fake',
        service_name='fake',
        coordination=True,
    ).start()
    service.Service.create(
        binary='cinder-backup',
        coordination=True,
        service_name='backup',
        process_number=1,
        semaphore=utils.semaphore_factory(15, 1),
    ).start()


def patch_threads() -> None:
    try:
        from cinder import monkey_patch
    except ImportError:
        # Before 29.0.0 each command of Cinder called eventlet itself.
        import eventlet

        eventlet.monkey_patch()
    else:
        monkey_patch.patch()


def main() -> None:
    patch_threads()
    from trio2o.lab.real import serve

    serve.begin('cinder-api')
    sys.argv += ['--config-file', os.environ['LAB_CONFIG_FILE']]
    import eventlet
    from cinder.cmd import backup, volume  # noqa: F401 - they register options before the command line is read
    from cinder.wsgi.wsgi import initialize_application
    from eventlet import wsgi
    from oslo_config import cfg

    application = initialize_application()
    stay_unprivileged()
    start_services(cfg.CONF)
    serve.stop_on_signal(lambda: None)
    with open(os.devnull, 'w') as nowhere:
        wsgi.server(
            eventlet.listen(('127.0.0.1', int(os.environ['LAB_PORT'])), backlog=128),
            application,
            log=nowhere,
            log_output=False,
            keepalive=True,
            socket_timeout=60,
        )


if __name__ == '__main__':
    main()
