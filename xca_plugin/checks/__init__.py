# SPDX-License-Identifier: Apache-2.0
"""Is all in order? Named checks from the module to the clock, each with what it found and what to do.

No check costs a try, and none waits for ever. A check that fails is often the reason for those after it.
"""
