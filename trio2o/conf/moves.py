# SPDX-License-Identifier: Apache-2.0
"""Options of moves between pods, in [moves]."""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'confirm_seconds',
        default=86400,
        min=0,
        help="""
Seconds after the switch in which a move can be reverted. Then Trio2o confirms it, which deletes what is left in the
source. A move may be given another time.
""",
    ),
    cfg.FloatOpt(
        'poll_seconds',
        default=5.0,
        min=0.0,
        help='Seconds between two looks at what a pod does for a move, such as uploading an image.',
    ),
    cfg.FloatOpt(
        'step_timeout',
        default=21600.0,
        min=1.0,
        help="""
Seconds that a pod may take for one step of a move, such as copying one volume. Then the move is stuck, and an operator
resumes or cancels it.
""",
    ),
    cfg.FloatOpt(
        'settle_seconds',
        default=60.0,
        min=0.0,
        help="""
Seconds, beyond ``[pods] read_timeout``, in which a pod may still carry out a request to which it gave no answer.

Only then a move sends the request again, if the pod shows no result of it.
""",
    ),
    cfg.IntOpt(
        'attempts',
        default=10,
        min=1,
        help='Number of times that a step is tried again after an error before the move is stuck.',
    ),
    cfg.FloatOpt(
        'bytes_per_second',
        default=50e6,
        min=1.0,
        help='Bytes that pods copy in a second, for the time that plans estimate.',
    ),
    cfg.BoolOpt(
        'verify_volumes',
        default=True,
        help="""
Whether each volume in the target is read once more and compared with the source before the switch.

It takes about as long as the copy. Without it, a move relies on the checksum that Glance has of the image.
""",
    ),
    cfg.IntOpt(
        'max_per_pod',
        default=20,
        min=1,
        help='Most moves of groups that are under way from or to one pod at a time. Moves that wait do not count.',
    ),
    cfg.IntOpt(
        'max_per_project',
        default=10,
        min=1,
        help='Most moves of groups that are under way of one project at a time.',
    ),
    cfg.IntOpt(
        'group_tries',
        default=2,
        min=1,
        help="""
Number of times that a drain or a rebalancing begins the move of a resource, if it fails and is undone.

An application is tried once.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    # A new group for each configuration, as oslo.config changes the group.
    conf.register_group(cfg.OptGroup('moves', title='Moves between pods'))
    conf.register_opts(OPTS, group='moves')


def list_opts() -> dict[str, list[cfg.Opt]]:
    return {'moves': OPTS}
