# SPDX-License-Identifier: Apache-2.0
"""Pages that tests follow, the DevStack plug-in, Tempest, and pods that come and go."""
