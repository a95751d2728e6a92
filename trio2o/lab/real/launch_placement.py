# SPDX-License-Identifier: Apache-2.0
"""A pod's Placement, as one process."""

from trio2o.lab.real import serve

if __name__ == '__main__':
    serve.begin('placement')
    from placement.wsgi.api import application

    serve.serve(application)
