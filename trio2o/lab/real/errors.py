# SPDX-License-Identifier: Apache-2.0
"""The errors of a lab.

LabError
    MigrationFailed     the databases of a service could not be created
    ServiceFailed       a service did not start, or its port is in use
    SeedFailed          the first accounts, image or network could not be created
"""


class LabError(Exception):
    """The lab cannot carry out a command; the message is for its user."""


class MigrationFailed(LabError):
    """A service's migration ended with an error; the message names the log."""


class ServiceFailed(LabError):
    """A service did not start; the message says why and names the log."""


class SeedFailed(LabError):
    """A first object of the cloud could not be created; the message names it."""
