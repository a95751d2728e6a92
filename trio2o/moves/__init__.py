# SPDX-License-Identifier: Apache-2.0
"""Moves of servers and volumes from one pod to another; see ``specs/moves.rst``.

::

    planner       what a move would do, and what speaks against it
    └── checks    one function for each finding
    engine        carries out the steps of a move, forward or back
    ├── steps     the table of steps
    │   ├── freeze    lock the resources, stop the server
    │   ├── copying   bytes of disks: the channel of images
    │   ├── ports     hand over ports of a shared Neutron
    │   ├── placement server group and scheduler hints
    │   ├── building  create volumes and server in the target
    │   ├── compare   compare both pods, and what tenants go on seeing
    │   └── ending    switch, delete what is left
    ├── ledger    make, find and delete what a move needs
    └── sites     the APIs of one pod, with the tokens that a move uses
"""
