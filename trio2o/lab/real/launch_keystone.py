# SPDX-License-Identifier: Apache-2.0
"""Keystone, as one process."""

from trio2o.lab.real import serve

if __name__ == '__main__':
    serve.begin('keystone')
    from keystone.wsgi.api import application

    serve.serve(application)
