# SPDX-License-Identifier: Apache-2.0
"""The whole pipeline before emulated pods, and the databases and broker found here."""
