# SPDX-License-Identifier: Apache-2.0
"""Parts of a certificate centre for its tests."""
