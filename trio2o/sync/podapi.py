# SPDX-License-Identifier: Apache-2.0
"""A pod's API as adapters use it; see `trio2o.pods.podapi`."""

from trio2o.pods.podapi import PodApi, Refused

__all__ = ['PodApi', 'Refused']
