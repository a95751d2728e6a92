# SPDX-License-Identifier: Apache-2.0
"""Commands of the stock ``openstack`` client for the Admin API: ``openstack trio2o pod list``.

The commands call the Admin API and nothing else, and nothing here imports the services. Every start of ``openstack``
imports ``plugin``, so ``plugin`` imports as little as possible.
"""
