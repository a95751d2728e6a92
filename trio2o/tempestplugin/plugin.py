# SPDX-License-Identifier: Apache-2.0
"""The tempest plug-in: folder of its tests, options and clients."""

from __future__ import annotations

import pathlib
from typing import Any

from oslo_config import cfg
from tempest import config
from tempest.test_discover import plugins

from trio2o.tempestplugin import config as trio2o_config

FOLDER = pathlib.Path(__file__).resolve().parent


class Trio2oTempestPlugin(plugins.TempestPlugin):
    """Tests that only a gateway over several pods can pass."""

    def load_tests(self) -> tuple[str, str]:
        return str(FOLDER / 'tests'), str(FOLDER.parents[1])

    def register_opts(self, conf: cfg.ConfigOpts) -> None:
        conf.register_opt(trio2o_config.service_option, group='service_available')
        conf.register_group(trio2o_config.trio2o_group)
        conf.register_opts(trio2o_config.TRIO2O_OPTIONS, group=trio2o_config.trio2o_group)

    def get_opt_lists(self) -> list[tuple[str, list[cfg.Opt]]]:
        return [
            (trio2o_config.trio2o_group.name, trio2o_config.TRIO2O_OPTIONS),
            ('service_available', [trio2o_config.service_option]),
        ]

    def get_service_clients(self) -> list[dict[str, Any]]:
        return [
            {
                'name': 'trio2o',
                'service_version': 'trio2o.v1',
                'module_path': 'trio2o.tempestplugin.services.admin_client',
                'client_names': ['AdminClient'],
                **config.service_client_config('trio2o'),
            }
        ]
