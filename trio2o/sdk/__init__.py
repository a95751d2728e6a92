# SPDX-License-Identifier: Apache-2.0
"""The Admin API as a service of openstacksdk: ``conn.trio2o``.

Nothing here imports the services. :class:`trio2o.sdk.service.Trio2oService` adds the service to a connection,
:class:`trio2o.sdk.proxy.Proxy` has the calls, and :mod:`trio2o.sdk.resources` the resources that they return.
"""
