# SPDX-License-Identifier: Apache-2.0
"""Unmodified OpenStack services with fake drivers, run as ordinary processes.

``RealLab`` is the interface. It is imported on first use only: the launchers in this package run in
the services' own processes and must import nothing before the service has monkey patched, or not.
"""

from typing import Any

__all__ = ['LabError', 'RealLab']


def __getattr__(name: str) -> Any:
    if name in __all__:
        from trio2o.lab.real import lab

        return getattr(lab, name)
    raise AttributeError(name)
