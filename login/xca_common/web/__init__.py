# SPDX-License-Identifier: Apache-2.0
"""What every web program of the project needs: guarded requests, languages, forms, templates, assets.

It needs Starlette, Jinja and itsdangerous. No other part of xca_common imports it.
"""
