# SPDX-License-Identifier: Apache-2.0
"""Parts that every web page of the project needs. They need Starlette."""
