# SPDX-License-Identifier: Apache-2.0
"""pod_infra: what every pod has of its own, seen by admins as if it were one cloud's.

Whole numbers serve as ids in every pod, so the top's are made of the pod's and of the pod's number, which
never changes: ``top = bottom * 1000 + number``. Names (of hosts) stay as they are. One that is in several
pods has to be qualified with the pod's name, ``Pod1@compute-1``, and may always be.

Who may ask is for the pods to decide: they are asked with the caller's token, and their refusal is the answer.
"""
