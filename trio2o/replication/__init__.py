# SPDX-License-Identifier: Apache-2.0
"""Replication: objects that are the same in every pod, such as flavors, key pairs and volume types.

A request writes an object to one pod, whose state becomes the desired state of the object; all other pods are then
brought to it, within the request or by a job. From the bottom up:

- ``reconcile``: compares attributes and plans the steps from actual to desired ones; no I/O
- ``adapters``: read and write the objects of one kind in a pod
- ``pod_objects``: an adapter together with the API of one pod
- ``replica_store``: the recorded objects and their replicas in the pods
- ``dependencies``: the objects that all of the following use
- ``object_sync``: brings one object to its desired state, in one pod or in all
- ``desired_state``: reads and records the desired state
- ``request_writes``: the steps around the write of a request
- ``pod_sync``: a pod as a whole: joins, repairs, drift
- ``pod_limits``: raises limits of pods to unlimited where Trio2o counts over all pods
- ``replicator``: all of these, one object in a process
"""
