# SPDX-License-Identifier: Apache-2.0
"""The centre's pages: one module for each part of them, all on one frame."""
