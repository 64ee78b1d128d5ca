# SPDX-License-Identifier: Apache-2.0
"""The errors of environments and their cards. Every message ends with the next step."""


class IssuerError(Exception):
    """The environment, or a part of the machine that it needs, does not do what was asked."""


class NoEnvironmentError(IssuerError):
    """There is no environment in this directory."""


class BadValueError(IssuerError):
    """A value that was given breaks a rule of the card or of its certificates, or is taken."""


class NoSuchCardError(IssuerError):
    """The environment has no card of this number."""


class SoftHSMError(IssuerError):
    """SoftHSM refused, or its process ended."""
