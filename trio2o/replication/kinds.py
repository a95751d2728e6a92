# SPDX-License-Identifier: Apache-2.0
"""Names of the kinds of replicated objects, as the database and the Admin API have them; and keys of key pairs."""

FLAVOR = 'flavor'
KEYPAIR = 'keypair'
VOLUME_TYPE = 'volume_type'
QOS_SPEC = 'qos_spec'
GROUP_TYPE = 'group_type'
DEFAULT_TYPE = 'default_type'
VOLUME_QUOTA = 'volume_quota'
VOLUME_QUOTA_CLASS = 'volume_quota_class'
QUOTA_SET = 'quota_set'
QUOTA_CLASS = 'quota_class'


def keypair_key(user_id: str, name: str) -> str:
    """Build the key of a key pair, whose name is unique within its user only."""
    return f'{user_id}/{name}'


def owner_of(key: str) -> str:
    """Return the user in the key of a key pair, and any other key as it is."""
    return key.partition('/')[0]


#: Kinds of limits whose key is a project, or ``project:user``.
LIMITS_OF_PROJECTS = (QUOTA_SET, VOLUME_QUOTA)


def project_of_limits(key: str) -> str:
    """Return the project in the key of limits."""
    return key.partition(':')[0]
