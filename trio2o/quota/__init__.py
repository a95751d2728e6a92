# SPDX-License-Identifier: Apache-2.0
"""One quota over all pods.

``amounts`` names the quota resources, ``drivers`` know the limits, ``claims`` reserves amounts for a request,
``usage`` reads from a pod's answer how much a resource uses, and ``settle`` finds out in the pods what became of
claims.
"""
