# SPDX-License-Identifier: Apache-2.0
"""Why the centre refuses, or cannot do, what somebody asked for: one class for each situation."""

from xca_common.errors import XcaError


class CentreError(XcaError):
    """Something that an applicant, a holder, an officer or an operator of the centre has to know."""
