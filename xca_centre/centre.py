# SPDX-License-Identifier: Apache-2.0
"""A centre that was begun, opened from its settings for one process: database, CAs, producer and so on."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from xca_centre.authority.hierarchy import Hierarchy
from xca_centre.authority.token_key import Token
from xca_centre.clocks import MovableClock, now
from xca_centre.errors import SoftHSMMissing
from xca_centre.issuer_rules import IssuerRules, load
from xca_centre.mail import MailFolder, SmtpServer, Transport
from xca_centre.payment_provider import PaymentProvider
from xca_centre.payment_provider import find_provider as find_payment_provider
from xca_centre.producer import CardProducer, find_producer
from xca_centre.settings import SOFTHSM, Settings, TokenSettings, secret
from xca_centre.store.database import Clock, Database
from xca_centre.store.journal import Journal
from xca_common.installed_softhsm import CONFIGURATION_VARIABLE, softhsm_library
from xca_common.secret import Secret

_CONFIGURATION: Final = "softhsm2.conf"
_TOKENS: Final = "tokens"


@dataclass(frozen=True)
class Centre:
    """A centre, as one process uses it. What is not used is not opened.

    Attributes:
        settings: its settings.
    """

    settings: Settings

    @cached_property
    def clock(self) -> Clock:
        """The time."""
        return MovableClock(self.settings.clock) if self.settings.clock else now

    @cached_property
    def rules(self) -> IssuerRules:
        """The issuer's rules.

        Raises:
            BadIssuerRules: a file of rules is wrong.
        """
        return load(self.settings.issuer, self.settings.rules)

    @cached_property
    def journal(self) -> Journal | None:
        """The journal, if there is one."""
        return Journal(self.settings.journal) if self.settings.journal else None

    @cached_property
    def database(self) -> Database:
        """The database. One that was restored and is not merged is refused.

        Raises:
            as of Database.
        """
        return Database(self.settings.database, self.clock, self.journal)

    @property
    def certificates(self) -> Path:
        """The folder with the certificates of the CAs."""
        return self.settings.folder / "ca"

    @cached_property
    def token(self) -> Token:
        """The token with the centre's keys.

        Raises:
            BadSettings, SecretExposed: its PIN cannot be read.
        """
        settings = self.settings
        module, environment = self.module(settings.token)
        return Token(module, settings.token.label, secret(settings.pin), environment)

    def root_token(self, pin: Secret) -> Token:
        """Return the token with the root's key."""
        root = self.settings.root
        module, environment = self.module(root)
        return Token(module, root.label, pin, environment)

    @cached_property
    def hierarchy(self) -> Hierarchy:
        """The CAs.

        Raises:
            HierarchyMissing, HierarchyDamaged: they were not begun, or a file is damaged.
        """
        return Hierarchy(self.certificates, self.token)

    @cached_property
    def producer(self) -> CardProducer:
        """Who makes the cards.

        Raises:
            NoSuchProducer, ProducerUnavailable: nobody does.
        """
        return find_producer(self.settings.producer, self.settings.producer_folder)

    @cached_property
    def payment_provider(self) -> PaymentProvider:
        """Who collects the fees.

        Raises:
            NoSuchPaymentProvider, PaymentProviderUnavailable: nobody does.
        """
        return find_payment_provider(self.settings.payment_provider, self.settings.payment_folder)

    @cached_property
    def transport(self) -> Transport:
        """What takes the mails.

        Raises:
            BadSettings, SecretExposed: the server's password cannot be read.
        """
        mail = self.settings.mail
        if mail.folder is not None:
            return MailFolder(mail.folder)
        password = secret(mail.password) if mail.password else None
        return SmtpServer(mail.host, mail.port, mail.security, mail.user, password)

    def module(self, token: TokenSettings) -> tuple[Path, Mapping[str, str]]:
        """Return the path of a PKCS#11 module, and the environment that it is initialised with.

        What the settings name for the module is in the environment of this process from now on.

        Raises:
            SoftHSMMissing: it is not installed.
        """
        os.environ.update(self.settings.variables)
        if token.module != SOFTHSM:
            return self.settings.folder / token.module, {}
        found = softhsm_library()
        if found is None:
            raise SoftHSMMissing
        return found, {CONFIGURATION_VARIABLE: str(self.softhsm_configuration)}

    @property
    def softhsm_configuration(self) -> Path:
        """The configuration of SoftHSM (softhsm2.conf(5)), if that is the token."""
        return self.settings.folder / _CONFIGURATION

    @property
    def softhsm_tokens(self) -> Path:
        """The folder of its tokens."""
        return self.settings.folder / _TOKENS
