# SPDX-License-Identifier: Apache-2.0
"""Cards, the processes that load the module, and the compiler."""
