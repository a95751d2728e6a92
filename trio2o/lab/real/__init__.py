# SPDX-License-Identifier: Apache-2.0
"""Unmodified OpenStack services with fake drivers, run as ordinary processes.

``RealLab`` is the whole interface. It is imported on first use only: the launchers in this package
run inside the services' own processes and must load nothing before monkey patching is decided.
"""

from typing import Any

__all__ = ['LabError', 'RealLab']


def __getattr__(name: str) -> Any:
    if name in __all__:
        from trio2o.lab.real import lab

        return getattr(lab, name)
    raise AttributeError(name)
