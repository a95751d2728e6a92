# SPDX-License-Identifier: Apache-2.0
"""One quota over all pods: what is counted, who bounds it, and claims on it.

Nothing here knows of requests or of pods' answers; ``gateway`` says what is claimed and what became of it.
"""
