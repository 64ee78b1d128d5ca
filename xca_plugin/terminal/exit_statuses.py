# SPDX-License-Identifier: Apache-2.0
"""The exit status of each error (docs/cli.md). A published status keeps its meaning."""

from collections.abc import Mapping
from typing import Final

from xca_common.errors import FileProblem, XcaError
from xca_plugin import errors
from xca_plugin.errors import OutputExists, SecretMissing

EXIT_STATUSES: Final[Mapping[type[XcaError], int]] = {
    errors.NoModule: 10,
    errors.ModuleFailed: 11,
    errors.StoreUnreadable: 12,
    errors.StoreNotWritable: 13,
    errors.PluginFailed: 14,
    errors.NoReader: 15,
    errors.NoCard: 16,
    errors.CardNotFound: 17,
    errors.SeveralCards: 18,
    errors.CardRemoved: 19,
    errors.CardFault: 20,
    errors.Unsupported: 21,
    errors.PluginMisbehaved: 22,
    errors.NotConfigured: 23,
    errors.NoCardModule: 24,
    errors.EntryCancelled: 25,
    errors.NotActivated: 30,
    errors.AlreadyActive: 31,
    errors.CardLapsed: 32,
    errors.WrongUserCode: 33,
    errors.UserCodeLocked: 34,
    errors.WrongPin: 35,
    errors.PinLocked: 36,
    errors.InvalidUserCode: 37,
    errors.InvalidPin: 38,
    errors.PinRefused: 39,
    errors.PinNotProved: 40,
    errors.LastTryNotConfirmed: 41,
    errors.NotAgreed: 42,
    SecretMissing: 43,
    errors.SessionEnded: 44,
    OutputExists: 45,
    errors.SecretFormRefused: 46,
    errors.RemovedBeforeProof: 47,
    errors.SecretWiped: 48,
    errors.UserCodeUnchanged: 49,
    errors.NoSuchCertificate: 50,
    errors.NoSuchKey: 51,
    errors.NotDecryptable: 52,
    errors.KeyStaysOnCard: 53,
    errors.CertificateExpired: 54,
    errors.CertificateNotYetValid: 55,
    errors.KeyEncryptionUnsupported: 56,
    errors.ChainIncomplete: 57,
    errors.NoTimeStamp: 58,
    errors.NoReport: 59,
    errors.NotACertificate: 60,
    errors.NotASignature: 61,
    errors.SignatureNotValid: 62,
    FileProblem: 63,
    errors.NotEncrypted: 64,
    errors.NotForThisCard: 65,
    errors.NotForEncryption: 66,
    errors.CutOff: 67,
    errors.NotRevocationData: 68,
    errors.TooMuch: 69,
    errors.ToolNotInstalled: 70,
    errors.NotEditable: 71,
    errors.EditedByHand: 72,
    errors.ToolInUse: 73,
    errors.WrongArchitecture: 74,
    errors.NoUsableProfile: 75,
    errors.CardNotSeen: 76,
    errors.PdfNotSigned: 77,
    errors.RevocationUnknown: 78,
    errors.NotToBeSigned: 79,
    errors.NoReaderSupport: 80,
    errors.NoReaderDaemon: 81,
    errors.ReaderFault: 82,
    errors.CardMute: 83,
    errors.NotInOrder: 84,
    errors.AgentNotInstalled: 85,
    errors.PortTaken: 86,
    errors.BadAgentConfiguration: 87,
    errors.CardWorkerBusy: 88,
    errors.ServiceFailed: 89,
    errors.AgentNotRunning: 90,
    errors.OtherInstallation: 91,
    errors.NotAnAuthority: 92,
    errors.AgentNotStopped: 93,
    errors.BadCentreConfiguration: 94,
    errors.NoCentre: 95,
    errors.AcceptanceKept: 96,
    errors.AcceptanceRefused: 97,
}

OF_A_PLUGIN: Final = 1
"""The status of a class that the table lacks, such as one of a plugin."""


def exit_status(error: XcaError) -> int:
    """Return the exit status of an error; a subclass without an own status has that of its base."""
    return next((EXIT_STATUSES[kind] for kind in type(error).__mro__ if kind in EXIT_STATUSES), OF_A_PLUGIN)
