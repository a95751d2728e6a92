# SPDX-License-Identifier: Apache-2.0
"""The job worker.

``service`` receives messages and scans the table of jobs, ``manager`` claims and runs jobs, ``periodic`` submits those
that run at intervals, and ``jobs`` has one module for each type.
"""
