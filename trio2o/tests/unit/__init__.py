# SPDX-License-Identifier: Apache-2.0
"""Pure functions and rules about the tree itself; seconds in all."""

from hypothesis import HealthCheck, settings

# On a busy machine, a process may wait for seconds while an example is made.
settings.register_profile('busy machine', deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile('busy machine')
