# SPDX-License-Identifier: Apache-2.0
"""The dashboard: the Admin API in a browser, read-only.

The dashboard reads everything from the Admin API, in the same process and with the token of the user, so the policy of
the Admin API decides who sees what. It is plain HTML without scripts.
"""

from trio2o.dashboard.app import make
from trio2o.dashboard.request import PREFIX

__all__ = ['PREFIX', 'make']
