# SPDX-License-Identifier: Apache-2.0
"""The parts of lists over several pods.

``paging`` reads a list of one pod in pages, and ``cursor`` records how far it has been read. A merged list also has a
``query`` (page, filters and order), a ``marker_plan`` (where each pod starts), the pure function ``merge``, and a
``run`` that reads until the page is certain. The flow is in ``handlers/list.py``.
"""
