# SPDX-License-Identifier: Apache-2.0
"""The certificate centre: applications, orders for cards, and the life of the certificates on them."""
