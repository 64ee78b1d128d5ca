# SPDX-License-Identifier: Apache-2.0
"""The keys of the centre and what they sign: certificates, lists, answers. Nothing here knows a database."""
