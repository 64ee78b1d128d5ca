# SPDX-License-Identifier: Apache-2.0
"""An inner module with the faults of the vendor's, and the settings [quirks] and [guard] that mend them."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pkcs11 import Attribute, KeyType, ObjectClass, TokenFlag, UserType
from pkcs11 import Mechanism as Kind

from support.module import compiling
from support.module.cards import (
    PIN,
    PLAIN,
    PLAIN_PIN,
    PLAIN_SO_PIN,
    USER_CODE,
    WRONG,
    Card,
    Gate,
    Inner,
    card_session,
    so_session,
    user_session,
)
from support.module.cryptoki import CKR, CONTEXT_SPECIFIC, FUNCTIONS_2_40, FUNCTIONS_3_0
from support.module.host import OS_LOCKING, Argument, Host, Mechanism, Room, Template, Ulong, given, ulong

KEY_SIZE_RANGE, MECHANISM_INVALID, MECHANISM_PARAM_INVALID = CKR(0x62), CKR(0x70), CKR(0x71)
OPERATION_ACTIVE, FUNCTION_REJECTED = CKR(0x90), CKR(0x200)
PUBLIC_STATE, USER_STATE = 2, 3
"""CKS_RW_PUBLIC_SESSION, CKS_RW_USER_FUNCTIONS."""

TEXT = b"what is signed " * 50


@dataclass(frozen=True)
class Hash:
    """A hash, and the mechanisms that carry it."""

    algorithm: hashes.HashAlgorithm
    digest: Kind
    pkcs1: Kind
    pss: Kind
    mgf: int


HASHES = (
    Hash(hashes.SHA1(), Kind.SHA_1, Kind.SHA1_RSA_PKCS, Kind.SHA1_RSA_PKCS_PSS, 1),
    Hash(hashes.SHA224(), Kind.SHA224, Kind.SHA224_RSA_PKCS, Kind.SHA224_RSA_PKCS_PSS, 5),
    Hash(hashes.SHA256(), Kind.SHA256, Kind.SHA256_RSA_PKCS, Kind.SHA256_RSA_PKCS_PSS, 2),
    Hash(hashes.SHA384(), Kind.SHA384, Kind.SHA384_RSA_PKCS, Kind.SHA384_RSA_PKCS_PSS, 3),
    Hash(hashes.SHA512(), Kind.SHA512, Kind.SHA512_RSA_PKCS, Kind.SHA512_RSA_PKCS_PSS, 4),
)
SHA1, SHA224, SHA256, SHA384, SHA512 = HASHES


@dataclass(frozen=True)
class Scheme:
    """How something is signed: with PSS if there is a length of salt."""

    hash: Hash
    salt: int | None = None
    mgf: Hash | None = None

    def __str__(self) -> str:
        return f"{self.hash.algorithm.name}-{'pkcs1' if self.salt is None else 'pss'}"

    @property
    def mechanism(self) -> Mechanism:
        if self.salt is None:
            return Mechanism(self.hash.pkcs1)
        return pss(self.hash, self.hash.digest, (self.mgf or self.hash).mgf, self.salt)

    def verify(self, key: rsa.RSAPublicKey, signature: bytes, data: bytes) -> None:
        scheme: padding.PSS | padding.PKCS1v15 = padding.PKCS1v15()
        if self.salt is not None:
            scheme = padding.PSS(padding.MGF1((self.mgf or self.hash).algorithm), self.salt)
        key.verify(signature, data, scheme, self.hash.algorithm)


def pss(hash_: Hash, digest: int, mgf: int, salt: int) -> Mechanism:
    return Mechanism(hash_.pss, ulong(digest) + ulong(mgf) + ulong(salt))


SCHEMES = [
    *(Scheme(hash_) for hash_ in HASHES),
    *(Scheme(hash_, hash_.algorithm.digest_size) for hash_ in HASHES),
]
EVERY_SCHEME = pytest.mark.parametrize("scheme", SCHEMES, ids=str)


class Vendor:
    """The card with the vendor's module behind the card's module."""

    def __init__(self, card: Card, library: Path, folder: Path) -> None:
        self.card = card
        self._library = library
        self._flags = folder / "flags"
        self.shows(TokenFlag(0))

    def shows(self, flags: TokenFlag) -> None:
        """Say which more flags the token that is no card shows from now on."""
        self._flags.write_text(f"{flags:x}")

    def host(self, *configuration: str, load: bool = True, **more: str) -> Host:
        """Start a process with these lines more in the configuration."""
        lines = self.card.configuration.read_text().splitlines()
        self.card.configuration.write_text("\n".join([*lines, *configuration, ""]))
        variables = {
            "XCA_PKCS11_MODULE": str(self._library),
            "VENDOR_REAL": str(self.card.library),
            "VENDOR_FLAGS": str(self._flags),
        }
        return self.card.host(load=load, initialize=load, variables=variables | more)

    def guarding(self, last_try: str | None = None) -> Host:
        guard = ("[guard]", "keep_last_try = yes")
        return self.host(*guard) if last_try is None else self.host(*guard, XCA_LAST_TRY=last_try)


@pytest.fixture(scope="session")
def vendor_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("vendor") / "vendor.so"
    return compiling.library(to, compiling.TESTS / "inner" / "vendor.c")


@pytest.fixture
def vendor(card: Card, vendor_library: Path, tmp_path: Path) -> Vendor:
    return Vendor(card, vendor_library, tmp_path)


class Signer:
    """A session in which the card's signing key signs."""

    def __init__(self, host: Host, session: int) -> None:
        self.host = host
        self.session = session
        named = (Attribute.ID, b"SIGN")
        (self.key,) = host.find(session, (Attribute.CLASS, ulong(ObjectClass.PRIVATE_KEY)), named)
        (certificate,) = host.find(session, (Attribute.CLASS, ulong(ObjectClass.CERTIFICATE)), named)
        read = host.call("C_GetAttributeValue", session, certificate, Template([(Attribute.VALUE, 4096)]), 1)
        ((length, value),) = read.out[0]
        public_key = x509.load_der_x509_certificate(bytes.fromhex(value)[:length]).public_key()
        assert isinstance(public_key, rsa.RSAPublicKey)
        self.public_key = public_key

    def again(self) -> "Signer":
        """Open another session of the same process."""
        return Signer(self.host, card_session(self.host))

    def call(self, name: str, *arguments: Argument) -> CKR | None:
        return self.host.call(name, self.session, *arguments).rv

    def init(self, mechanism: Mechanism | None, key: int | None = None) -> CKR | None:
        return self.call("C_SignInit", mechanism, self.key if key is None else key)

    def update(self, part: bytes) -> CKR | None:
        return self.call("C_SignUpdate", part, len(part))

    def sign(self, data: bytes = TEXT) -> tuple[CKR | None, bytes]:
        return self.signature("C_Sign", data, len(data))

    def final(self) -> tuple[CKR | None, bytes]:
        return self.signature("C_SignFinal")

    def signature(self, name: str, *data: Argument) -> tuple[CKR | None, bytes]:
        answer = self.host.call(name, self.session, *data, Room(512), Ulong(512))
        return answer.rv, bytes.fromhex(answer.out[0])[: answer.out[1]]

    def asked_length(self, name: str, *data: Argument) -> None:
        """Go through what a caller asks before it has room for the signature."""
        size = self.public_key.key_size // 8
        query = self.host.call(name, self.session, *data, None, Ulong(0))
        assert (query.rv, query.out) == (CKR.OK, [size])
        small = self.host.call(name, self.session, *data, Room(size - 1), Ulong(size - 1))
        assert (small.rv, small.out[1]) == (CKR.BUFFER_TOO_SMALL, size)
        assert small.out[0] == "aa" * (size - 1)

    def works(self, scheme: Scheme = SCHEMES[2]) -> bool:
        """Say whether nothing is left over that would bar a new signature."""
        if self.init(scheme.mechanism) != CKR.OK:
            return False
        rv, signature = self.sign()
        scheme.verify(self.public_key, signature, TEXT)
        return rv == CKR.OK


HASH_QUIRK = ("[quirks]", "hash = module")


@pytest.fixture
def signer(vendor: Vendor) -> Signer:
    host = vendor.host(*HASH_QUIRK)
    return Signer(host, user_session(host))


# [quirks] hash = module


def test_signature_without_the_quirk_fails_as_the_inner_module_does(vendor: Vendor) -> None:
    host = vendor.host()
    signer = Signer(host, user_session(host))
    assert signer.init(Mechanism(Kind.SHA256_RSA_PKCS)) == CKR.OK
    assert signer.sign()[0] == CKR.BUFFER_TOO_SMALL


HASHING = {"C_SignInit", "C_Sign", "C_SignUpdate", "C_SignFinal"}


@pytest.mark.parametrize(("quirk", "hashing"), [((), set()), (HASH_QUIRK, HASHING | {"C_SessionCancel"})])
def test_entries_for_signing_with_the_quirk_are_replaced(
    vendor: Vendor, vendor_library: Path, quirk: tuple[str, ...], hashing: set[str]
) -> None:
    host = vendor.host(*quirk)
    inner = host.do("beside", str(vendor_library))
    for functions in (FUNCTIONS_2_40, FUNCTIONS_3_0):
        if functions is FUNCTIONS_3_0:
            use_3_0(host)
        ours, theirs = (host.do("entries", at, len(FUNCTIONS_2_40)) for at in (None, inner))
        differ = {name for name, a, b in zip(FUNCTIONS_2_40, ours, theirs, strict=True) if a != b}
        assert differ & HASHING == hashing & set(FUNCTIONS_2_40)


def use_3_0(host: Host) -> None:
    """Go on with the list of PKCS#11 3.0."""
    answer = host.symbol("C_GetInterface", None, b"\x03\x00", Ulong(), 0)
    assert answer.rv == CKR.OK
    assert host.do("use", host.do("interface", answer.out[0])["list"]) == [3, 0]


@EVERY_SCHEME
def test_signature_in_one_part_is_verified(signer: Signer, scheme: Scheme) -> None:
    assert signer.init(scheme.mechanism) == CKR.OK
    signer.asked_length("C_Sign", TEXT, len(TEXT))
    rv, signature = signer.sign()
    assert rv == CKR.OK
    scheme.verify(signer.public_key, signature, TEXT)
    assert signer.sign()[0] == CKR.OPERATION_NOT_INITIALIZED


@EVERY_SCHEME
def test_signature_in_several_parts_is_verified(signer: Signer, scheme: Scheme) -> None:
    assert signer.init(scheme.mechanism) == CKR.OK
    for part in (TEXT[:1], TEXT[1:70], b"", TEXT[70:]):
        assert signer.update(part) == CKR.OK
    signer.asked_length("C_SignFinal")
    rv, signature = signer.final()
    assert rv == CKR.OK
    scheme.verify(signer.public_key, signature, TEXT)
    assert signer.final()[0] == CKR.OPERATION_NOT_INITIALIZED


@pytest.mark.parametrize("bits", [1024, 1025, 1031, 1032, 2048])
def test_pss_signature_with_keys_of_any_length_is_verified(vendor: Vendor, bits: int) -> None:
    host = vendor.host(*HASH_QUIRK)
    session = host.open(plain_slot(host))
    assert host.login(session, UserType.USER, PLAIN_PIN) == CKR.OK
    private_key = rsa.generate_private_key(65537, bits)
    key = imported(host, session, private_key)
    room = (bits - 1 + 7) // 8 - 2 - 32
    for scheme in (Scheme(SHA256, 0), Scheme(SHA256, room), Scheme(SHA256, 20, SHA1), Scheme(SHA384)):
        assert host.call("C_SignInit", session, scheme.mechanism, key).rv == CKR.OK
        answer = host.call("C_Sign", session, TEXT, len(TEXT), Room(512), Ulong(512))
        assert (answer.rv, answer.out[1]) == (CKR.OK, (bits + 7) // 8)
        scheme.verify(private_key.public_key(), bytes.fromhex(answer.out[0])[: answer.out[1]], TEXT)
    assert host.call("C_SignInit", session, Scheme(SHA256, room + 1).mechanism, key).rv == KEY_SIZE_RANGE


def imported(host: Host, session: int, key: rsa.RSAPrivateKey) -> int:
    numbers = key.private_numbers()
    public = numbers.public_numbers
    template = [
        (Attribute.CLASS, ulong(ObjectClass.PRIVATE_KEY)),
        (Attribute.KEY_TYPE, ulong(KeyType.RSA)),
        (Attribute.TOKEN, b"\0"),
        (Attribute.SIGN, b"\1"),
        *(
            (attribute, number.to_bytes((number.bit_length() + 7) // 8, "big"))
            for attribute, number in (
                (Attribute.MODULUS, public.n),
                (Attribute.PUBLIC_EXPONENT, public.e),
                (Attribute.PRIVATE_EXPONENT, numbers.d),
                (Attribute.PRIME_1, numbers.p),
                (Attribute.PRIME_2, numbers.q),
                (Attribute.EXPONENT_1, numbers.dmp1),
                (Attribute.EXPONENT_2, numbers.dmq1),
                (Attribute.COEFFICIENT, numbers.iqmp),
            )
        ),
    ]
    created = host.call("C_CreateObject", session, Template(template), len(template), Ulong())
    assert created.rv == CKR.OK
    return int(created.out[1])


def test_signatures_of_two_sessions_at_once_are_verified(signer: Signer) -> None:
    other = signer.again()
    a, b = Scheme(SHA512), Scheme(SHA256, 32)
    assert signer.init(a.mechanism) == other.init(b.mechanism) == CKR.OK
    for part in (TEXT[:9], TEXT[9:]):
        assert signer.update(part) == other.update(part[::-1]) == CKR.OK
    for each, scheme, data in (
        (other, b, TEXT[:9][::-1] + TEXT[9:][::-1]),
        (signer, a, TEXT),
    ):
        rv, signature = each.final()
        assert rv == CKR.OK
        scheme.verify(signer.public_key, signature, data)


def test_signatures_of_eight_threads_at_once_are_verified(vendor: Vendor) -> None:
    host = vendor.host(*HASH_QUIRK)
    assert host.finalize() == CKR.OK
    assert host.initialize(OS_LOCKING) == CKR.OK
    signer = Signer(host, user_session(host))
    signers = [signer, *(signer.again() for _ in range(7))]
    schemes = SCHEMES[:8]
    for each, scheme in zip(signers, schemes, strict=True):
        assert each.init(scheme.mechanism) == CKR.OK
    answers = signer.host.threads(
        *(("C_Sign", each.session, TEXT, len(TEXT), Room(256), Ulong(256)) for each in signers)
    )
    for answer, scheme in zip(answers, schemes, strict=True):
        assert answer.rv == CKR.OK
        scheme.verify(signer.public_key, bytes.fromhex(answer.out[0]), TEXT)


def test_digest_of_the_callers_own_goes_on_in_the_same_session(vendor: Vendor, tmp_path: Path) -> None:
    # SoftHSM allows one operation a session; the minimal inner module allows both.
    minimal = compiling.library(tmp_path / "minimal.so", compiling.TESTS / "inner" / "minimal.c")
    host = vendor.host(*HASH_QUIRK, XCA_PKCS11_MODULE=str(minimal))
    session, key = host.open(1), 8

    def digested(between: Callable[[], None]) -> str:
        assert host.call("C_DigestInit", session, Mechanism(Kind.SHA384)).rv == CKR.OK
        assert host.call("C_DigestUpdate", session, b"one", 3).rv == CKR.OK
        between()
        assert host.call("C_DigestUpdate", session, b"two", 3).rv == CKR.OK
        answer = host.call("C_DigestFinal", session, Room(48), Ulong(48))
        assert answer.rv == CKR.OK
        return str(answer.out[0])

    def sign() -> None:
        assert host.call("C_SignInit", session, Scheme(SHA256, 32).mechanism, key).rv == CKR.OK
        assert host.call("C_SignUpdate", session, TEXT, len(TEXT)).rv == CKR.OK
        assert host.call("C_SignFinal", session, Room(256), Ulong(256)).rv == CKR.OK

    assert digested(sign) == digested(lambda: None)


def test_mechanism_without_a_hash_is_the_inner_modules(signer: Signer) -> None:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(TEXT)
    digest_info = bytes.fromhex("3031300d060960864801650304020105000420") + digest.finalize()
    assert signer.init(Mechanism(Kind.RSA_PKCS)) == CKR.OK
    rv, signature = signer.sign(digest_info)
    assert rv == CKR.OK
    Scheme(SHA256).verify(signer.public_key, signature, TEXT)

    assert signer.init(Mechanism(Kind.RSA_PKCS_PSS, pss(SHA256, SHA256.digest, 2, 32).parameter)) == CKR.OK
    rv, signature = signer.sign(digest_info[-32:])
    assert rv == CKR.OK
    Scheme(SHA256, 32).verify(signer.public_key, signature, TEXT)

    assert signer.init(Mechanism(Kind.SHA256)) == MECHANISM_INVALID
    assert signer.init(None) == CKR.ARGUMENTS_BAD
    assert signer.sign()[0] == signer.final()[0] == signer.update(b"x") == CKR.OPERATION_NOT_INITIALIZED


WRONG_PARAMETERS = {
    "none": Mechanism(Kind.SHA256_RSA_PKCS_PSS),
    "too short": Mechanism(Kind.SHA256_RSA_PKCS_PSS, bytes(16)),
    "another digest": pss(SHA256, Kind.SHA384, 2, 32),
    "no digest": pss(SHA256, 0, 2, 32),
    "unknown mask": pss(SHA256, Kind.SHA256, 0x77, 32),
}


@pytest.mark.parametrize("mechanism", WRONG_PARAMETERS.values(), ids=WRONG_PARAMETERS)
def test_pss_parameters_that_do_not_fit_are_refused(signer: Signer, mechanism: Mechanism) -> None:
    assert signer.init(mechanism) == MECHANISM_PARAM_INVALID
    assert signer.sign()[0] == CKR.OPERATION_NOT_INITIALIZED
    assert signer.works()


@pytest.mark.parametrize("salt", [2048 // 8 - 2 - 32 + 1, 2**64 - 1])
def test_pss_salt_that_does_not_fit_is_refused(signer: Signer, salt: int) -> None:
    assert signer.init(pss(SHA256, SHA256.digest, 2, salt)) == KEY_SIZE_RANGE
    assert signer.works()


def test_key_that_cannot_sign_is_refused(signer: Signer) -> None:
    assert signer.init(SCHEMES[2].mechanism, 9999) not in (CKR.OK, None)
    assert signer.sign()[0] == CKR.OPERATION_NOT_INITIALIZED
    assert signer.works()


def test_signature_begun_twice_goes_on_with_the_first(signer: Signer) -> None:
    assert signer.init(SCHEMES[2].mechanism) == CKR.OK
    assert signer.init(SCHEMES[4].mechanism) == OPERATION_ACTIVE
    rv, signature = signer.sign()
    assert rv == CKR.OK
    SCHEMES[2].verify(signer.public_key, signature, TEXT)


def no_data(signer: Signer) -> CKR | None:
    return signer.call("C_Sign", None, 5, Room(256), Ulong(256))


def no_part(signer: Signer) -> CKR | None:
    return signer.call("C_SignUpdate", None, 5)


def a_part_and_then_all(signer: Signer) -> CKR | None:
    assert signer.update(b"part") == CKR.OK
    return signer.sign()[0]


@pytest.mark.parametrize("scheme", [Scheme(SHA256), Scheme(SHA256, 32)], ids=str)
@pytest.mark.parametrize("fail", [no_data, no_part, a_part_and_then_all])
@pytest.mark.parametrize("missing", ["", "C_SessionCancel"])
def test_signature_after_an_error_is_ended(
    vendor: Vendor, scheme: Scheme, fail: Callable[[Signer], CKR | None], missing: str
) -> None:
    host = vendor.host(*HASH_QUIRK, VENDOR_NULL=missing)
    signer = Signer(host, user_session(host))
    assert signer.init(scheme.mechanism) == CKR.OK
    assert fail(signer) not in (CKR.OK, None)
    # The inner module has no signature under way either.
    assert signer.sign(b"raw")[0] == signer.final()[0] == CKR.OPERATION_NOT_INITIALIZED
    assert signer.works()


def close(signer: Signer) -> None:
    assert signer.call("C_CloseSession") == CKR.OK


def close_all(signer: Signer) -> None:
    slot = signer.host.session(signer.session).slotID
    assert signer.host.call("C_CloseAllSessions", slot).rv == CKR.OK


def finalize(signer: Signer) -> None:
    signer.host.reinitialize()


@pytest.mark.parametrize("end", [close, close_all, finalize])
def test_sessions_that_end_in_the_middle_leave_nothing(signer: Signer, end: Callable[[Signer], None]) -> None:
    host = signer.host
    for _ in range(3):
        assert signer.works()
    assert signer.init(SCHEMES[0].mechanism) == CKR.OK
    assert signer.update(b"begun") == CKR.OK
    end(signer)
    session = card_session(host)
    # Nobody is logged in after the caller's last session ended: the module keeps no session open.
    assert host.session(session).state == PUBLIC_STATE
    assert host.call("C_SignFinal", session, Room(256), Ulong(256)).rv == CKR.OPERATION_NOT_INITIALIZED
    assert host.login(session, UserType.USER, PIN) == CKR.OK
    assert Signer(host, session).works()


def test_signature_that_was_begun_does_not_bar_the_so(signer: Signer) -> None:
    assert signer.init(SCHEMES[2].mechanism) == CKR.OK
    assert signer.host.logout(signer.session) == CKR.OK
    assert signer.host.login(signer.session, UserType.SO, USER_CODE) == CKR.OK


def test_signature_after_c_session_cancel_is_ended(signer: Signer) -> None:
    sign, digest = 1 << 11, 1 << 10
    use_3_0(signer.host)
    assert signer.init(SCHEMES[2].mechanism) == CKR.OK
    assert signer.call("C_SessionCancel", digest) == CKR.OK
    signer.asked_length("C_Sign", TEXT, len(TEXT))
    assert signer.call("C_SessionCancel", sign) == CKR.OK
    assert signer.sign()[0] == CKR.OPERATION_NOT_INITIALIZED
    assert signer.works()


def test_inner_module_that_cannot_hash_is_named_in_the_log(vendor: Vendor, tmp_path: Path) -> None:
    log = tmp_path / "log"
    host = vendor.host(*HASH_QUIRK, load=False, VENDOR_NULL="C_DigestInit", XCA_LOG_FILE=str(log))
    assert host.loaded.rv == CKR.GENERAL_ERROR
    (line,) = log.read_text().splitlines()
    assert "[quirks] hash" in line


# [quirks] strings = trim


def plain_slot(host: Host) -> int:
    """Return the slot of the token that is no card, which shows its label with or without padding."""
    (slot,) = (slot for slot in host.slots() if host.token(slot).label.startswith(PLAIN.encode()))
    return slot


def test_strings_without_the_quirk_are_the_vendors(vendor: Vendor) -> None:
    host = vendor.host()
    answer = host.call("C_GetTokenInfo", plain_slot(host), Room(208))
    assert bytes.fromhex(answer.out[0])[:32] == PLAIN.encode() + b"\t " + bytes(25)


def test_strings_with_the_quirk_are_padded_as_the_standard_says(vendor: Vendor) -> None:
    host = vendor.host("[quirks]", "strings = trim")
    slot = plain_slot(host)
    shown = bytes.fromhex(host.call("C_GetTokenInfo", slot, Room(208)).out[0])
    direct = vendor.card.direct()
    true = bytes.fromhex(direct.call("C_GetTokenInfo", direct.slot(PLAIN), Room(208)).out[0])
    assert shown[:96] == true[:96]
    assert shown[:32] == PLAIN.encode().ljust(32)


# [guard] keep_last_try = yes: a card of the stand-in, whose record counts the tries


@dataclass(frozen=True)
class LastTry:
    """A way to spend a try, and the secret that it is of."""

    name: str
    spend: Callable[[Host, str], CKR | None]
    secret: str
    user_code: bool = False

    def __str__(self) -> str:
        return self.name


def login_as(user: int) -> Callable[[Host, str], CKR | None]:
    return lambda host, secret: host.login(card_session(host), user, secret)


def login_user(host: Host, secret: str) -> CKR | None:
    use_3_0(host)
    return host.call("C_LoginUser", card_session(host), UserType.USER, *given(secret), *given("x")).rv


def set_pin(host: Host, secret: str) -> CKR | None:
    return host.set_pin(card_session(host), secret, "newpin-1")


def set_user_code(host: Host, secret: str) -> CKR | None:
    return host.set_pin(so_session(host), secret, "NewCode-99")


DOORS = [
    LastTry("C_Login user", login_as(UserType.USER), PIN),
    LastTry("C_Login SO", login_as(UserType.SO), USER_CODE, user_code=True),
    LastTry("C_Login context", login_as(CONTEXT_SPECIFIC), PIN),
    LastTry("C_LoginUser", login_user, PIN),
    LastTry("C_SetPIN", set_pin, PIN),
]
EVERY_DOOR = pytest.mark.parametrize("door", DOORS, ids=str)


def tries(card: Card, door: LastTry) -> int:
    return card.user_code_tries if door.user_code else card.pin_tries


def leave(card: Card, door: LastTry, left: int) -> None:
    card.set_tries(**{"user_code" if door.user_code else "pin": left})


@EVERY_DOOR
@pytest.mark.parametrize("allowed", ["", "yes", "ALLOW"])
def test_last_try_of_a_card_is_kept(vendor: Vendor, door: LastTry, allowed: str) -> None:
    host = vendor.guarding(last_try=allowed)
    leave(vendor.card, door, 1)
    for secret in (WRONG[0], door.secret, WRONG[0]):
        assert door.spend(host, secret) == FUNCTION_REJECTED
    assert tries(vendor.card, door) == 1


@EVERY_DOOR
def test_guard_with_more_than_one_try_left_passes_the_call_on(vendor: Vendor, door: LastTry) -> None:
    host = vendor.guarding()
    leave(vendor.card, door, 2)
    assert door.spend(host, WRONG[0]) not in (CKR.OK, FUNCTION_REJECTED)
    if door.name != "C_Login context":  # SoftHSM asks no PIN there: the try comes back
        assert tries(vendor.card, door) == 1
        # This value is known to be wrong, so that answering costs no try.
        assert door.spend(host, WRONG[0]) == CKR.PIN_INCORRECT


@EVERY_DOOR
def test_guard_with_the_users_permission_passes_the_last_try_on(vendor: Vendor, door: LastTry) -> None:
    host = vendor.guarding(last_try="allow")
    leave(vendor.card, door, 1)
    rv = door.spend(host, door.secret)
    if door.name == "C_Login context":
        assert rv == CKR.OPERATION_NOT_INITIALIZED
    else:
        assert rv == CKR.OK
        assert tries(vendor.card, door) == 3


def test_last_try_of_a_user_code_is_kept_when_it_is_changed(vendor: Vendor) -> None:
    host = vendor.guarding()
    session = so_session(host)
    vendor.card.set_tries(user_code=1)
    assert host.set_pin(session, USER_CODE, "NewCode-99") == FUNCTION_REJECTED
    assert vendor.card.user_code_tries == 1


@EVERY_DOOR
def test_last_try_of_a_card_is_kept_in_a_process_that_keeps_it(vendor: Vendor, door: LastTry) -> None:
    host = vendor.host(XCA_LAST_TRY="keep")
    leave(vendor.card, door, 1)
    for secret in (WRONG[0], door.secret):
        assert door.spend(host, secret) == FUNCTION_REJECTED
    assert tries(vendor.card, door) == 1
    leave(vendor.card, door, 2)
    assert door.spend(host, WRONG[0]) not in (CKR.OK, FUNCTION_REJECTED)


def test_last_try_of_a_card_without_the_guard_is_spent(vendor: Vendor) -> None:
    host = vendor.host()
    vendor.card.set_tries(pin=1)
    assert host.login(card_session(host), UserType.USER, WRONG[0]) == CKR.PIN_LOCKED


# [guard] keep_last_try = yes: another token, whose flags tell that a try is the last


class Plain:
    """The token that is no card, in a process with the guard, and how a test sees that its PIN was tried."""

    def __init__(self, vendor: Vendor, host: Host) -> None:
        self.vendor = vendor
        self.host = host
        self.slot = plain_slot(host)
        self.session = host.open(self.slot)

    def login(self, user: int, secret: str) -> CKR | None:
        return self.host.login(self.session, user, secret)

    def login_user(self, user: int, secret: str) -> CKR | None:
        use_3_0(self.host)
        return self.host.call("C_LoginUser", self.session, user, *given(secret), *given("x")).rv

    def set_pin(self, old: str) -> CKR | None:
        return self.host.set_pin(self.session, old, "newpin-1")

    def init_token(self, secret: str) -> CKR | None:
        assert self.host.call("C_CloseAllSessions", self.slot).rv == CKR.OK
        return self.host.call("C_InitToken", self.slot, *given(secret), PLAIN.encode().ljust(32)).rv

    def was_tried(self) -> bool:
        """Say whether SoftHSM saw a wrong secret."""
        self.vendor.shows(TokenFlag(0))
        return bool(self.host.flags(self.slot) & (TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.SO_PIN_COUNT_LOW))


@pytest.fixture
def plain(vendor: Vendor) -> Plain:
    return Plain(vendor, vendor.guarding())


USER_DOORS: dict[str, Callable[[Plain], CKR | None]] = {
    "C_Login": lambda plain: plain.login(UserType.USER, WRONG[0]),
    "C_Login context": lambda plain: plain.login(CONTEXT_SPECIFIC, WRONG[0]),
    "C_LoginUser": lambda plain: plain.login_user(UserType.USER, WRONG[0]),
    "C_SetPIN": lambda plain: plain.set_pin(WRONG[0]),
}
SO_DOORS: dict[str, Callable[[Plain], CKR | None]] = {
    "C_Login": lambda plain: plain.login(UserType.SO, WRONG[0]),
    "C_LoginUser": lambda plain: plain.login_user(UserType.SO, WRONG[0]),
    "C_InitToken": lambda plain: plain.init_token(WRONG[0]),
}


@pytest.mark.parametrize("door", USER_DOORS.values(), ids=USER_DOORS)
def test_last_pin_of_a_token_is_kept(plain: Plain, door: Callable[[Plain], CKR | None]) -> None:
    plain.vendor.shows(TokenFlag.USER_PIN_FINAL_TRY)
    assert door(plain) == FUNCTION_REJECTED
    assert not plain.was_tried()
    plain.vendor.shows(TokenFlag.SO_PIN_FINAL_TRY)
    assert door(plain) not in (CKR.OK, FUNCTION_REJECTED)


@pytest.mark.parametrize("door", SO_DOORS.values(), ids=SO_DOORS)
def test_last_so_pin_of_a_token_is_kept(plain: Plain, door: Callable[[Plain], CKR | None]) -> None:
    plain.vendor.shows(TokenFlag.SO_PIN_FINAL_TRY)
    assert door(plain) == FUNCTION_REJECTED
    assert not plain.was_tried()
    plain.vendor.shows(TokenFlag.USER_PIN_FINAL_TRY)
    assert door(plain) == CKR.PIN_INCORRECT
    assert plain.was_tried()


def test_last_so_pin_of_a_token_is_kept_when_it_is_changed(plain: Plain) -> None:
    assert plain.login(UserType.SO, PLAIN_SO_PIN) == CKR.OK
    plain.vendor.shows(TokenFlag.USER_PIN_FINAL_TRY)
    assert plain.set_pin(WRONG[0]) == CKR.PIN_INCORRECT
    plain.vendor.shows(TokenFlag.SO_PIN_FINAL_TRY)
    assert plain.set_pin(PLAIN_SO_PIN) == FUNCTION_REJECTED


@pytest.mark.parametrize("door", USER_DOORS.values(), ids=USER_DOORS)
def test_last_pin_of_a_token_is_kept_in_a_process_that_keeps_it(
    vendor: Vendor, door: Callable[[Plain], CKR | None]
) -> None:
    plain = Plain(vendor, vendor.host(XCA_LAST_TRY="keep"))
    vendor.shows(TokenFlag.USER_PIN_FINAL_TRY)
    assert door(plain) == FUNCTION_REJECTED
    assert not plain.was_tried()


def test_two_processes_at_a_tokens_last_tries_leave_one(
    vendor: Vendor, inner: Inner, gate: Gate, vendor_library: Path
) -> None:
    # The scripted module in front of the vendor's, in front of SoftHSM.
    behind = {**inner.environment(vendor.card), "INNER_REAL": str(vendor_library)}
    first = vendor.host("[guard]", "keep_last_try = yes", load=True, **behind)
    second = vendor.host(load=True, **behind)
    sessions = [host.open(plain_slot(host)) for host in (first, second)]
    inner.does(f"C_Login wait {gate.path}")
    first.ask_call("C_Login", sessions[0], UserType.USER, *given(WRONG[0]))
    waiting = gate.arrived()
    inner.does()
    seen = inner.count("C_GetSessionInfo")
    second.ask_call("C_Login", sessions[1], UserType.USER, *given(WRONG[1]))
    while inner.count("C_GetSessionInfo") == seen:
        time.sleep(0.001)
    # The first try is just being spent: only the last is left.
    vendor.shows(TokenFlag.USER_PIN_FINAL_TRY)
    os.close(waiting)
    assert first.answer().rv == CKR.PIN_INCORRECT
    assert second.answer().rv == FUNCTION_REJECTED
    assert inner.count("C_Login") == 1


def test_guard_of_a_token_with_the_users_permission_passes_the_last_try_on(vendor: Vendor) -> None:
    plain = Plain(vendor, vendor.guarding(last_try="allow"))
    vendor.shows(TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.SO_PIN_FINAL_TRY)
    assert plain.login(UserType.USER, WRONG[0]) == CKR.PIN_INCORRECT
    assert plain.was_tried()
    vendor.shows(TokenFlag.USER_PIN_FINAL_TRY)
    assert plain.login(UserType.USER, PLAIN_PIN) == CKR.OK
