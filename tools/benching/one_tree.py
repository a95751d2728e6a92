# SPDX-License-Identifier: Apache-2.0
"""Run the gateway of one source tree, as the tools/benching of that tree configures and starts it.

For each line on standard input, the name of a service, it starts that one, after it has stopped the one before, and
prints its URL and the id of its process as one line of JSON. It ends with its standard input. ``two_trees`` sets the
import path.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys

import running


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('directory', help='for the configuration and logs')
    parser.add_argument('settings', help='a file of JSON: the arguments of running.Gateway')
    parser.add_argument('--cpu', type=int, required=True, help='the processor that runs the gateway')
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {chosen.cpu})
    with open(chosen.settings) as file:
        gateway = running.Gateway(chosen.directory, **json.load(file))
    with contextlib.ExitStack() as started:
        for line in iter(sys.stdin.readline, ''):
            started.close()
            service = line.strip()
            # A tree from before this one served the Compute API only, and takes no name.
            is_compute = service == 'nova_apigw'
            pid = started.enter_context(gateway.running() if is_compute else gateway.running(service=service))
            url = gateway.url if is_compute else gateway.urls[service]
            print(json.dumps({'url': url, 'pid': pid}), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
