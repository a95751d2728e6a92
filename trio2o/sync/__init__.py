# SPDX-License-Identifier: Apache-2.0
"""Objects that are the same everywhere: flavors, keypairs, volume types.

``reconcile`` is pure and decides, an adapter a kind reads and writes one pod, ``engine`` records
what is wanted and brings pods there. What a request means for all this is left to
``gateway.replicate``.
"""
