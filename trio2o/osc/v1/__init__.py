# SPDX-License-Identifier: Apache-2.0
"""The commands for v1.0, a module for each kind of thing."""
