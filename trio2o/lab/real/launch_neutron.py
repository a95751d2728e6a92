# SPDX-License-Identifier: Apache-2.0
"""Neutron's API server; no agents, no RPC workers, as one process."""

from trio2o.lab.real import serve

if __name__ == '__main__':
    serve.begin('neutron')
    from neutron.wsgi.api import application

    serve.serve(application)
