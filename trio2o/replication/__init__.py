# SPDX-License-Identifier: Apache-2.0
"""Objects that are the same everywhere: flavors, keypairs, volume types.

``reconcile`` is pure and decides, an adapter a kind reads and writes one pod. ``converge`` brings one object in one
pod to what is wanted, ``writes`` records what a request wants, and ``replicator`` sees to a pod as a whole. What a
request means for all this is left to ``gateway.replicate``.
"""
