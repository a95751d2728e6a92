# SPDX-License-Identifier: Apache-2.0
"""Neutron's API server as one process; no agents, no RPC workers."""

from trio2o.lab.real import serve

if __name__ == '__main__':
    serve.begin('neutron')
    from neutron.wsgi.api import application
    from sqlalchemy import orm

    # The first query does it, but listing ports looks at relations before it asks anything.
    orm.configure_mappers()
    serve.serve(application)
