# SPDX-License-Identifier: Apache-2.0
"""What all lists over several pods are made of.

``paging`` says how a list of one pod is read in pages, and ``cursor`` how far it has been read. A merged list has
also its ``query`` (page, filters and order), a ``marker_plan`` that says where each pod starts, the pure ``merge``
and a ``run`` that reads until the page is certain. ``handlers/list.py`` has the flow.
"""
