# SPDX-License-Identifier: Apache-2.0
"""One module for each job type, loaded by name from the entry points ``trio2o.jobs``."""
