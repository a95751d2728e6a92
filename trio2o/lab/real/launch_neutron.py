# SPDX-License-Identifier: Apache-2.0
"""Neutron's API server as one process; no agents, no RPC workers."""

from trio2o.lab.real import serve

if __name__ == '__main__':
    serve.begin('neutron')
    from neutron.wsgi.api import application
    from sqlalchemy import orm

    # The first query does this too, but a list of ports uses the relationships before any query.
    orm.configure_mappers()
    serve.serve(application)
