# SPDX-License-Identifier: Apache-2.0
"""What operators look at: figures out of the database, and pods as they are found when asked now."""
