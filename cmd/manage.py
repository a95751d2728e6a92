#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
from trio2o.cmd.manage import main

raise SystemExit(main())
