# SPDX-License-Identifier: Apache-2.0
"""Groups of moves: applications, drains of pods and rebalancing of zones.

``selection`` finds the members, ``preview`` plans them all for a dry run, and ``conductor`` moves them.
"""
