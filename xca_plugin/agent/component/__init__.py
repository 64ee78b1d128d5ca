# SPDX-License-Identifier: Apache-2.0
"""The component: answers web sites in the vendor's protocol, once the person trusts and agrees."""
