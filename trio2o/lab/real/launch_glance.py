# SPDX-License-Identifier: Apache-2.0
"""Glance with a file store, as one process."""

from trio2o.lab.real import serve

if __name__ == '__main__':
    serve.begin('glance')
    from glance.wsgi.api import application

    serve.serve(application)
