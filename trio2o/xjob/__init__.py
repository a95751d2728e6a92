# SPDX-License-Identifier: Apache-2.0
"""The job worker: ``service`` listens and scans, ``manager`` claims and runs, ``jobs`` do the work."""
