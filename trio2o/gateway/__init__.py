# SPDX-License-Identifier: Apache-2.0
"""The handlers that the Nova and the Cinder API-GW share. A handler serves a call by calls to one pod or to several.

An operation is a row ``Operation(name, method, path, handler)``. ``web`` finds the row of a request and calls its
handler with a ``Call``; the handler returns an ``Answer`` or raises. The rows are in ``nova_apigw`` and
``cinder_apigw``, one file or package for each resource. A handler that needs to know something about its resource is a
class whose methods are hooks. The flow is here, the resource's subclass is beside its rows, and nothing here names a
service.

Handlers (``gateway/handlers``), with their hooks in calling order:

- ``forward.Forward``: a call about one resource, sent to its pod. Hooks: ``same_pod_refs``, ``prepare`` (may
  refuse the call), ``quota_growth`` and ``over_quota_error`` (if ``quota_effect`` says so), ``drop_zone``,
  ``new_refs``, ``translate`` or ``translate_refusal``, ``fallback_answer``. ``forward.ForwardToAny``: any pod can
  answer.
- ``create.Create``: a new resource in the best pod. Hooks: ``resolve``, ``split_zone``, ``affinity_refs``,
  ``known_affinity_refs``, ``requested``, ``replicated_refs``, ``soft_affinity_refs``, ``over_quota_error``,
  ``with_count``, ``prepared_in``, ``is_out_of_capacity``, ``batch_query``, ``created``.
  ``create_snapshot.CreateVolumeSnapshot``: a volume snapshot, which both services create.
- ``list.List`` and ``offset_list.OffsetList``: the lists of all pods as one list, paged by markers or by offsets;
  ``sum``: numbers added up.
- ``replicate``: objects that are the same in every pod; ``quota_sets``: limits and usage; ``zones``.
- ``admin``: infrastructure that each pod numbers and names by itself, by id, by name and in lists.

A call about one server, as an example: ``Forward`` asks ``routing.locator`` for the ``Route`` of the id (memory,
database, else a probe of all pods), ``call_pod`` replaces the id in the path by that of the pod and sends the call
with ``pods.client``, ``translate`` replaces the pod's links, ids and zone in the answer.

A create, as an example: ``Create`` reads the body (``requested``: amounts; ``refs``: references and scheduler hints;
``images``: the volumes that images define), lets ``scheduler`` choose pods, claims the amounts (``claiming``), and
sends the call to one pod after another until one accepts it. The claim becomes the amounts of the new routing, is
released, or stays open if the outcome is unknown. A pod that refuses for a quota of its own is reported
(``pod_quota``).

``call_pod`` sends a call to one pod, ``call_any_pod`` to whichever pod answers and ``call_pods`` to several at once.
``read_object`` reads an object that a call refers to. ``lists`` reads the pages of pods, with a cursor for each pod,
and merges them. ``translate`` replaces names: *down* is towards a pod, *up* towards the client.
"""
