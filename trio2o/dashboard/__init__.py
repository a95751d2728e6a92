# SPDX-License-Identifier: Apache-2.0
"""The operator's page: what the Admin API tells, to be looked at in a browser. It changes nothing.

Everything it shows it asks the Admin API for, in this process and with the token of who looks, so who may see what,
and what there is to see, is decided in one place. Plain HTML from the server; no script.
"""

from trio2o.dashboard.app import PREFIX, make

__all__ = ['PREFIX', 'make']
