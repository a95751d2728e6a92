# SPDX-License-Identifier: Apache-2.0
"""Settings of Schemathesis that are code; see test_schemathesis.py."""

import pathlib

import schemathesis
from hypothesis import configuration

# It takes seconds to make the table of characters that other tests have left there.
configuration.set_hypothesis_home_dir(pathlib.Path(__file__).parents[4] / '.hypothesis')


@schemathesis.hook
def before_load_schema(_context, raw_schema):
    """Leave out the length of ``sort``.

    Schemathesis searches a long time for lists of columns that have exactly this length, and finds none for most
    resources. test_bad_input.py checks the length.
    """
    for operations in raw_schema['paths'].values():
        for parameter in operations.get('get', {}).get('parameters', ()):
            if parameter.get('name') == 'sort':
                del parameter['schema']['maxLength']
