# SPDX-License-Identifier: Apache-2.0
"""The whole pipeline before emulated pods, and the databases and broker found here.

Everything runs on the backend that TRIO2O_TEST_BACKEND names: this process too, and so before any test is
imported. Without it, this process is not patched.
"""

import os

from trio2o import concurrency

if os.environ.get('TRIO2O_TEST_BACKEND'):
    concurrency.init(os.environ['TRIO2O_TEST_BACKEND'])

if os.environ.get('TRIO2O_TEST_USES'):
    from trio2o.tests.functional import backends

    backends.record(os.environ['TRIO2O_TEST_USES'])
