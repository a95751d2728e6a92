# SPDX-License-Identifier: Apache-2.0
"""Pure functions and rules about the tree itself; seconds in all."""
