# SPDX-License-Identifier: Apache-2.0
"""Hosts, services, aggregates and other resources for admins, which every pod has of its own.

Admins see those of all pods as if they were in one cloud. Where ids are whole numbers, the same number exists in
every pod, so a top id is made of the bottom id and of the number of the pod, which never changes:
``top = bottom * 1000 + number``. Names, such as those of hosts, are the same at the top. A name that is in several
pods has to be qualified with the pod's name, as in ``Pod1@compute-1``; any name may be.

Pods decide who may see and change these: they get the caller's token, and their refusal is the answer.
"""
