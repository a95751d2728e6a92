# SPDX-License-Identifier: Apache-2.0
"""Commands of the stock ``openstack`` client for the Admin API: ``openstack trio2o pod list``.

It speaks to the Admin API and nothing else. Every start of ``openstack`` imports ``plugin``, so that imports
next to nothing; nothing here imports the services.
"""
