# SPDX-License-Identifier: Apache-2.0
"""Pods in memory: small WSGI services with state, scripted faults and a request log.

``topology.Cloud`` builds one Keystone and any number of pods; ``transport`` calls them without a
socket and ``server`` serves them on ports. The services answer as real Nova and Cinder do:
``tests/real/api/test_emulation.py`` compares them.
"""
