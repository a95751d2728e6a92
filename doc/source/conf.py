# SPDX-License-Identifier: Apache-2.0
"""How sphinx builds the documentation. Warnings are errors: `tools/test docs`."""

import pathlib
import sys

from trio2o.version import version_string

sys.path.insert(0, str(pathlib.Path(__file__).parent / '_extensions'))

project = 'Trio2o'
copyright = 'OpenStack contributors'
author = 'OpenStack contributors'
release = version_string()

extensions = [
    'admin_api',
    'cliff.sphinxext',
    'openstackdocstheme',
    'operations',
    'oslo_config.sphinxconfiggen',
    'oslo_config.sphinxext',
    'oslo_policy.sphinxpolicygen',
    'oslo_policy.sphinxext',
]

# Sphinx writes the sample files when it builds the documentation, so they always match the code.
config_generator_config_file = '../../etc/trio2o-config-generator.conf'
sample_config_basename = '_static/trio2o'
policy_generator_config_file = '../../etc/trio2o-policy-generator.conf'
sample_policy_basename = '_static/trio2o'

root_doc = 'index'
# Every page ends with a link to the words that are Trio2o's own.
rst_epilog = """
.. rst-class:: glossary-link

Words that are Trio2o's own: :doc:`glossary </glossary>`.
"""
exclude_patterns = []
pygments_style = 'native'

# Leave out the options of the `openstack` client itself, which its own documentation describes.
autoprogram_cliff_application = 'openstack'

html_theme = 'openstackdocs'
html_static_path = ['_static']
openstackdocs_auto_name = False
openstackdocs_auto_version = False
openstackdocs_projects = []
openstackdocs_use_storyboard = False
