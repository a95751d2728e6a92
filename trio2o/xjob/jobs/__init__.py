# SPDX-License-Identifier: Apache-2.0
"""The jobs, one a module, loaded by name from the entry points ``trio2o.jobs``."""
