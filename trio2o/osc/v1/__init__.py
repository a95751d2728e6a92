# SPDX-License-Identifier: Apache-2.0
"""The commands for v1.0, one module for each resource."""
