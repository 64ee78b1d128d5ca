# SPDX-License-Identifier: Apache-2.0
"""What happens to certificates, applications and payments: one table of transitions for each."""
