# SPDX-License-Identifier: Apache-2.0
"""What a lab says when it cannot go on.

LabError
    MigrationFailed     a service could not make its databases
    ServiceFailed       a service did not come up, or its port is taken
    SeedFailed          the first accounts, image or network could not be made
"""


class LabError(Exception):
    """The lab cannot do what was asked; the message is for the person at the terminal."""


class MigrationFailed(LabError):
    """A service's migration ended with an error; the message names the log."""


class ServiceFailed(LabError):
    """A service did not come up; the message says why and names the log to read."""


class SeedFailed(LabError):
    """The lab could not be filled; the message says with what."""
