# SPDX-License-Identifier: Apache-2.0
"""A Neutron mechanism driver that binds every port at once, since there are no agents."""

from __future__ import annotations

from typing import Any

from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api


class LabMechanismDriver(api.MechanismDriver):
    """Binds a port to the first segment of its network and sets it to active."""

    def initialize(self) -> None:
        """Do nothing: there is nothing to prepare."""

    def bind_port(self, context: Any) -> None:
        context.set_binding(
            context.segments_to_bind[0][api.ID],
            portbindings.VIF_TYPE_OVS,
            {portbindings.CAP_PORT_FILTER: True},
            status='ACTIVE',
        )
