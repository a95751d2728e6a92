# SPDX-License-Identifier: Apache-2.0
"""How sphinx builds the release notes: reno reads releasenotes/notes as git has it."""

project = 'Trio2o Release Notes'
copyright = 'OpenStack contributors'
release = ''
version = ''

extensions = ['openstackdocstheme', 'reno.sphinxext']

root_doc = 'index'
html_theme = 'openstackdocs'
openstackdocs_auto_name = False
openstackdocs_auto_version = False
openstackdocs_use_storyboard = False
