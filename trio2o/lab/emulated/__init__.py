# SPDX-License-Identifier: Apache-2.0
"""Bottom clouds in memory: small real WSGI services with state, scripted faults and a request log.

``topology.Cloud`` builds one Keystone and any number of pods; ``transport`` reaches them without a
socket and ``server`` puts them on ports. What real Nova and Cinder answer is the measure, and
``tests/real/api/test_emulation.py`` compares.
"""
