# SPDX-License-Identifier: Apache-2.0
"""Keys of the centre in a PKCS#11 token, each as an RSAPrivateKey of `cryptography`.

python-pkcs11 initialises a module without locks (C_Initialize with NULL): within a process one call is made
at a time, whatever the token and the thread. Several processes sign at once, each with sessions of its own.
"""

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar, cast

import pkcs11
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import rsa, utils
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11 import exceptions as refusals

from xca_centre import errors
from xca_common.pki.digest_info import digest_info
from xca_common.secret import Secret

_Result = TypeVar("_Result")

_WRONG_PIN: Final = (refusals.PinIncorrect, refusals.PinInvalid, refusals.PinLenRange)
_LOCKED_PIN: Final = (refusals.PinLocked, refusals.PinExpired)
_NOT_DECRYPTED: Final = (
    refusals.EncryptedDataInvalid,
    refusals.EncryptedDataLenRange,
    refusals.DataInvalid,
    refusals.DataLenRange,
    refusals.FunctionFailed,  # SoftHSM
    refusals.GeneralError,  # SoftHSM
)
# SoftHSM's token is not there for a moment while another process logs in: that writes its file anew.
_PAUSES: Final = (0.0, 0.01, 0.03, 0.1, 0.3, 0.0)  # seconds behind each try
_LABEL_BYTES: Final = 32  # PKCS#11, C_InitToken


class Use(Enum):
    """What a key is for. No key both signs and decrypts."""

    SIGN = MechanismFlag.SIGN | MechanismFlag.VERIFY
    DECRYPT = MechanismFlag.DECRYPT | MechanismFlag.ENCRYPT


_lock = threading.RLock()  # around every call into a module


class _Module:
    """A PKCS#11 module of this process.

    Attributes:
        starts: how often it was initialised; sessions and handles of an earlier start are void.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._runs = False
        self._environment: Mapping[str, str] = {}
        self.starts = 0

    def library(self, environment: Mapping[str, str]) -> Any:
        """Return the module, initialised with variables that the process has for that moment only."""
        if self._runs and environment == self._environment:
            return pkcs11.lib(self._path)
        with _environment(environment):
            library = pkcs11.lib(self._path)  # it initialises what it loads
            if self.starts:
                with suppress(pkcs11.PKCS11Error):  # not initialised in this process
                    library.finalize()
                library.initialize()
        self._runs, self._environment = True, environment
        self.starts += 1
        return library

    def stop(self) -> None:
        """Have it initialised again at the next call: it knows no token that came since, and a child none."""
        self._runs = False


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_modules: dict[Path, _Module] = {}


def _after_fork() -> None:
    for module in _modules.values():
        module.stop()
    _lock.release()


# A child begins with a lock that nobody holds, and with modules that it has not initialised.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_after_fork)


class Token:
    """A token with keys of the centre.

    The token is looked for at the first use of a key, and again after it went or the process forked. A PIN
    that it refused is not tried again: three wrong ones lock most tokens.
    """

    def __init__(
        self, module: Path, label: str, pin: Secret, environment: Mapping[str, str] | None = None
    ) -> None:
        """Name a token.

        Args:
            module: the PKCS#11 module.
            label: the token's label.
            pin: the user PIN, from xca_common.secret_source; kept as long as the token is in use.
            environment: variables that the module reads when it is initialised.
        """
        self.label: Final = label
        self._environment: Final = environment or {}
        self._pin = pin
        with _lock:
            self._module = _modules.setdefault(module, _Module(module))
        self._start = 0
        self._session: Any = None
        self._handles: dict[str, Any] = {}
        self._refused = False

    @classmethod
    def create(
        cls,
        module: Path,
        label: str,
        so_pin: Secret,
        pin: Secret,
        environment: Mapping[str, str] | None = None,
    ) -> "Token":
        """Initialise a token that has no label yet, or return the one that has this label.

        A half-made token, which has the label and no PIN, is finished.

        Args:
            module: the PKCS#11 module.
            label: the token's label, at most 32 bytes.
            so_pin: the PIN of the security officer.
            pin: the user PIN.
            environment: as of Token.

        Raises:
            TokenUnavailable: the module has no token to initialise, or refuses.
        """
        token = cls(module, label, pin, environment)
        with _lock:
            try:
                token._initialise(module, so_pin)
            except pkcs11.PKCS11Error as error:
                raise token._unavailable(error) from None
            finally:
                token._module.stop()
        return token

    def _initialise(self, module: Path, so_pin: Secret) -> None:
        found = self._find()
        if found is None:
            blank = self._blank_slot()
            label, code = self.label.encode().ljust(_LABEL_BYTES), so_pin.reveal().encode()
            if len(label) > _LABEL_BYTES:
                raise errors.TokenUnavailable(label=self.label, detail="CKR_ARGUMENTS_BAD")
            # python-pkcs11 has no C_InitToken. CDLL returns the library that is already loaded.
            result = ctypes.CDLL(str(module)).C_InitToken(
                ctypes.c_ulong(blank), code, ctypes.c_ulong(len(code)), label
            )
            if result:
                raise errors.TokenUnavailable(label=self.label, detail=f"C_InitToken: {result:#x}")
            self._module.stop()
            found = self._find()
        if found is not None and not found.flags & pkcs11.TokenFlag.USER_PIN_INITIALIZED:
            session = found.open(rw=True, so_pin=so_pin.reveal())
            session.init_pin(self._pin.reveal())
            session.close()

    def _blank_slot(self) -> int:
        for slot in self._library().get_slots(token_present=True):
            if not slot.get_token().flags & pkcs11.TokenFlag.TOKEN_INITIALIZED:
                return cast(int, slot.slot_id)
        raise errors.TokenUnavailable(label=self.label, detail="CKR_TOKEN_NOT_PRESENT")

    def _library(self) -> Any:
        return self._module.library(self._environment)

    def _find(self) -> Any:
        found = list(self._library().get_tokens(token_label=self.label))
        if len(found) > 1:
            raise refusals.MultipleTokensReturned
        return found[0] if found else None

    def key(self, name: str) -> "TokenKey":
        """Return the key of a name.

        Raises:
            NoTokenKey: the token has no such key.
            TokenUnavailable, TokenPinRefused: the token cannot be used.
        """
        return TokenKey(self, name, self._do(lambda session: _public(self._handle(session, name))))

    def make_key(self, name: str, bits: int, use: Use = Use.SIGN) -> "TokenKey":
        """Return the key of a name; it is made if the token has none. It never leaves the token.

        Args:
            name: label and id of the key.
            bits: length of the modulus.
            use: what a new key is for.

        Raises:
            TokenUnavailable, TokenPinRefused: the token cannot be used.
        """
        with suppress(errors.NoTokenKey):
            return self.key(name)

        def make(session: Any) -> rsa.RSAPublicKey:
            with suppress(errors.NoTokenKey):  # made by the try before
                return _public(self._handle(session, name))
            # A pair that was cut off.
            for left in session.get_objects({Attribute.LABEL: name, Attribute.CLASS: ObjectClass.PUBLIC_KEY}):
                left.destroy()
            _, private = session.generate_keypair(
                KeyType.RSA,
                bits,
                id=name.encode(),
                label=name,
                store=True,
                capabilities=use.value,
                public_template={Attribute.PRIVATE: False},
                private_template={
                    Attribute.PRIVATE: True,
                    Attribute.SENSITIVE: True,
                    Attribute.EXTRACTABLE: False,
                },
            )
            return _public(private)

        return TokenKey(self, name, self._do(make))

    def forget(self) -> None:
        """Close the token, as before it is taken away. The next use of a key opens it again."""
        with _lock:
            if self._session is not None and self._start == self._module.starts:
                with suppress(pkcs11.PKCS11Error):
                    self._session.close()
            self._session, self._handles = None, {}

    def _do(self, work: Callable[[Any], _Result]) -> _Result:
        """Call `work` with a session that is logged in; again with new ones if that went."""
        with _lock:
            failure: pkcs11.PKCS11Error | errors.NoTokenKey | None = None
            for pause in _PAUSES:
                try:
                    return work(self._opened())
                except (*_WRONG_PIN, *_LOCKED_PIN) as error:
                    self._refused = True
                    self._module.stop()  # it closes the session that could not log in
                    raise errors.TokenPinRefused(label=self.label, detail=type(error).__name__) from None
                except errors.NoTokenKey as error:
                    if isinstance(failure, errors.NoTokenKey):
                        raise
                    failure = error  # SoftHSM's token that went has no keys
                except pkcs11.PKCS11Error as error:
                    failure = error
                # It may be back in another slot, which only a new start of the module shows.
                self._module.stop()
                time.sleep(pause)
            if isinstance(failure, pkcs11.PKCS11Error):
                raise self._unavailable(failure) from None
            raise errors.TokenUnavailable(label=self.label, detail="CKR_TOKEN_NOT_PRESENT")

    def _opened(self) -> Any:
        if self._refused:
            raise refusals.PinIncorrect
        self._library()
        if self._session is None or self._start != self._module.starts:
            self._session, self._handles = None, {}
            token = self._find()
            if token is None:
                raise refusals.TokenNotPresent
            self._session = token.open(rw=True, user_pin=self._pin.reveal())
            self._start = self._module.starts
        return self._session

    def _handle(self, session: Any, name: str) -> Any:
        if name not in self._handles:
            found = list(
                session.get_objects({Attribute.LABEL: name, Attribute.CLASS: ObjectClass.PRIVATE_KEY})
            )
            if len(found) != 1:
                raise errors.NoTokenKey(label=self.label, name=name)
            self._handles[name] = found[0]
        return self._handles[name]

    def _unavailable(self, error: pkcs11.PKCS11Error) -> errors.TokenUnavailable:
        return errors.TokenUnavailable(label=self.label, detail=f"{type(error).__name__} {error}".strip())


class TokenKey(rsa.RSAPrivateKey):
    """A private key in a token. Any thread may use it, and a child of the process that made it, too.

    What it does raises TokenUnavailable, TokenPinRefused, NoTokenKey if the token cannot be used.
    """

    def __init__(self, token: Token, name: str, public: rsa.RSAPublicKey) -> None:
        self._token, self._name, self._public = token, name, public

    @property
    def key_size(self) -> int:
        """Bits of the modulus."""
        return self._public.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        """Return the public key."""
        return self._public

    def sign(
        self,
        data: bytes | bytearray | memoryview,
        padding: rsa_padding.AsymmetricPadding,
        algorithm: utils.Prehashed | hashes.HashAlgorithm | utils.NoDigestInfo,
    ) -> bytes:
        """Sign data (RFC 8017, section 8.2). It is hashed here: only its digest goes to the token.

        Args:
            data: the data.
            padding: PKCS1v15.
            algorithm: SHA256, SHA384 or SHA512.

        Raises:
            UnsupportedAlgorithm: for anything else, or the key is for decrypting.
        """
        digest = _digest_info(bytes(data), padding, algorithm)

        def sign(session: Any) -> bytes:
            key = self._token._handle(session, self._name)
            if not hasattr(key, "sign"):
                raise UnsupportedAlgorithm("This key of the centre decrypts.")
            return cast(bytes, key.sign(digest, mechanism=Mechanism.RSA_PKCS))

        signature = self._token._do(sign)
        # Keys of one name in two tokens of one label, or a faulty device: nothing of it leaves.
        self._public.verify(signature, bytes(data), padding, cast(hashes.HashAlgorithm, algorithm))
        return signature

    def decrypt(
        self, ciphertext: bytes | bytearray | memoryview, padding: rsa_padding.AsymmetricPadding
    ) -> bytes:
        """Decrypt a ciphertext (RFC 8017, section 7.2).

        Args:
            ciphertext: as long as the modulus.
            padding: PKCS1v15.

        Raises:
            UnsupportedAlgorithm: the padding is another, or the key is for signing.
            ValueError: it was not encrypted to this key. Some tokens return random bytes instead.
        """
        if not isinstance(padding, rsa_padding.PKCS1v15):
            raise UnsupportedAlgorithm("A key of the centre decrypts PKCS1v15.")
        if len(ciphertext) * 8 != self.key_size:
            raise ValueError("The ciphertext is not as long as the modulus.")

        def decrypt(session: Any) -> bytes | None:
            key = self._token._handle(session, self._name)
            if not hasattr(key, "decrypt"):
                raise UnsupportedAlgorithm("This key of the centre signs.")
            try:
                return cast(bytes, key.decrypt(bytes(ciphertext), mechanism=Mechanism.RSA_PKCS))
            except _NOT_DECRYPTED:
                _ = key[Attribute.MODULUS]  # SoftHSM says the same of a token that went
                return None

        plaintext = self._token._do(decrypt)
        if plaintext is None:
            raise ValueError("Decryption failed.")
        return plaintext

    def private_numbers(self) -> NoReturn:
        """Refuse: private numbers never leave the token.

        Raises:
            KeyStaysInToken: always.
        """
        raise errors.KeyStaysInToken(label=self._token.label, name=self._name)

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> NoReturn:
        """Refuse, as private_numbers does."""
        self.private_numbers()

    def __copy__(self) -> NoReturn:
        self.private_numbers()

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.private_numbers()

    def __reduce__(self) -> NoReturn:
        self.private_numbers()


def _public(private: Any) -> rsa.RSAPublicKey:
    modulus, exponent = (
        int.from_bytes(private[part], "big") for part in (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT)
    )
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _digest_info(
    data: bytes,
    padding: rsa_padding.AsymmetricPadding,
    algorithm: utils.Prehashed | hashes.HashAlgorithm | utils.NoDigestInfo,
) -> bytes:
    if not isinstance(padding, rsa_padding.PKCS1v15) or not isinstance(
        algorithm, (hashes.SHA256, hashes.SHA384, hashes.SHA512)
    ):
        raise UnsupportedAlgorithm("A key of the centre signs with PKCS1v15 and SHA256, SHA384 or SHA512.")
    hashing = hashes.Hash(algorithm)
    hashing.update(data)
    return digest_info(algorithm.name, hashing.finalize())
