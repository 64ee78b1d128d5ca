# SPDX-License-Identifier: Apache-2.0
"""Programs of which one call to the system fails (the nth write, fsync …), or meets a signal."""
