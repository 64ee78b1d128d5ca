# SPDX-License-Identifier: Apache-2.0
"""The certificates on a card, field by field, and the PKI behind them."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import x509 as asn1  # type: ignore[import-untyped]

from softhsm import Application, BadValueError, Environment, issue
from support.softhsm.softhsm_card import USER_CODE, Issuer, openssl
from xca_common.pki.authority import directory_attributes, validity
from xca_common.pki.profile import COMPANY, SCHOOL

EXTENSIONS = [
    ("authority_key_identifier", False),
    ("key_identifier", False),
    ("authority_information_access", False),
    ("key_usage", True),
    ("certificate_policies", False),
    ("subject_directory_attributes", False),
    ("crl_distribution_points", False),
]


@pytest.fixture(scope="module")
def certificates(
    shared_issuer: Issuer, number: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Files with the certificates of a card, DER, by label."""
    folder = tmp_path_factory.mktemp("certificates")
    return {
        label: shared_issuer.read_certificate(number, label, folder / f"{index}.der")
        for index, label in enumerate(("cert1", "cert2", "CA Cert", "ROOT CA Cert"))
    }


@pytest.fixture(scope="module", params=["cert1", "cert2"])
def label(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tbs(certificates: dict[str, Path], label: str) -> asn1.TbsCertificate:
    return asn1.Certificate.load(certificates[label].read_bytes())["tbs_certificate"]


def _extension(tbs: asn1.TbsCertificate, name: str) -> bytes:
    (value,) = (e["extn_value"].contents for e in tbs["extensions"] if e["extn_id"].native == name)
    return bytes(value)


def _rdns(name: asn1.Name) -> list[tuple[str, str, str]]:
    """Name, ASN.1 type and value of each part, in order, one a RDN."""
    parts = []
    for rdn in name.chosen:
        (part,) = rdn
        parts.append((part["type"].native, type(part["value"].chosen).__name__, part["value"].native))
    return parts


def test_certificate_of_a_card_has_the_version_serial_signature_and_key_of_the_profile(
    tbs: asn1.TbsCertificate,
) -> None:
    assert tbs["version"].native == "v3"
    assert len(tbs["serial_number"].contents) == 16
    assert tbs["serial_number"].native > 0
    assert tbs["signature"]["algorithm"].native == "sha256_rsa"
    key = tbs["subject_public_key_info"]
    assert (key.algorithm, key.bit_size) == ("rsa", 2048)
    assert key["public_key"].native["public_exponent"] == 65537


def test_certificate_of_a_card_names_a_test_ca_as_issuer(tbs: asn1.TbsCertificate) -> None:
    assert _rdns(tbs["issuer"]) == [
        ("country_name", "PrintableString", "TW"),
        ("organization_name", "UTF8String", "行政院"),
        ("organizational_unit_name", "UTF8String", "組織及團體測試憑證管理中心"),
    ]


def test_certificate_of_a_card_names_the_holder_as_subject(tbs: asn1.TbsCertificate) -> None:
    assert _rdns(tbs["subject"]) == [
        ("country_name", "PrintableString", "TW"),
        ("locality_name", "UTF8String", "臺北市"),
        ("organization_name", "UTF8String", "國立臺灣大學"),
    ]


def test_certificate_of_a_card_is_valid_for_six_years_to_the_second(tbs: asn1.TbsCertificate) -> None:
    start, end = tbs["validity"]["not_before"], tbs["validity"]["not_after"]
    assert (start.name, end.name) == ("utc_time", "utc_time")
    assert end.native == start.native.replace(year=start.native.year + 6)
    assert abs(datetime.now(UTC) - start.native) < timedelta(minutes=10)


def test_certificate_of_a_card_has_the_extensions_of_the_profile_in_order(tbs: asn1.TbsCertificate) -> None:
    assert [(e["extn_id"].native, e["critical"].native) for e in tbs["extensions"]] == EXTENSIONS


def test_certificate_of_a_card_has_the_key_identifiers_of_its_key_and_issuer(
    tbs: asn1.TbsCertificate, certificates: dict[str, Path]
) -> None:
    ca = asn1.Certificate.load(certificates["CA Cert"].read_bytes())
    authority = asn1.AuthorityKeyIdentifier.load(_extension(tbs, "authority_key_identifier"))
    assert authority.native == {
        "key_identifier": ca.key_identifier,
        "authority_cert_issuer": None,
        "authority_cert_serial_number": None,
    }
    assert tbs["subject_public_key_info"].sha1 in _extension(tbs, "key_identifier")


def test_certificate_of_each_key_has_its_own_key_usage(tbs: asn1.TbsCertificate, label: str) -> None:
    allowed = {"cert1": {"digital_signature"}, "cert2": {"key_encipherment", "data_encipherment"}}
    assert asn1.KeyUsage.load(_extension(tbs, "key_usage")).native == allowed[label]


def test_certificate_of_a_card_has_the_test_policy_without_qualifier(tbs: asn1.TbsCertificate) -> None:
    policies = asn1.CertificatePolicies.load(_extension(tbs, "certificate_policies")).native
    assert policies == [{"policy_identifier": "2.16.886.101.0.3.0", "policy_qualifiers": None}]


def test_certificate_addresses_of_the_stand_in_are_reserved_names(tbs: asn1.TbsCertificate) -> None:
    access = asn1.AuthorityInfoAccessSyntax.load(_extension(tbs, "authority_information_access"))
    assert [entry["access_method"].native for entry in access] == ["ca_issuers", "ocsp"]
    points = asn1.CRLDistributionPoints.load(_extension(tbs, "crl_distribution_points"))
    urls = [point["distribution_point"].chosen for point in points]
    assert [len(point) for point in urls] == [1, 1]
    assert len({point[0].native for point in urls}) == 2
    everything = [entry["access_location"].native for entry in access] + [point[0].native for point in urls]
    assert all(re.match(r"http://xca\.test/", url) for url in everything)


def test_certificate_of_a_school_has_its_directory_attributes(tbs: asn1.TbsCertificate) -> None:
    assert _extension(tbs, "subject_directory_attributes").hex() == (
        "30453015060760867601640201310a0608608676016403020b3016060760867601640202310b13097365636f6e6461727930"
        "14060760867601640266310906076086766f868d20"
    )


def test_directory_attributes_of_school_and_company_have_both_forms() -> None:
    school = directory_attributes(SCHOOL, "secondary", organisation_oid="2.16.886.111.100000")
    assert school.hex() == (
        "30453015060760867601640201310a0608608676016403020b3016060760867601640202310b13097365636f6e6461727930"
        "14060760867601640266310906076086766f868d20"
    )
    assert directory_attributes(COMPANY, "primary", tax_id="00000000").hex() == (
        "30463017060760867601640201310c060a608676016403020201013014060760867601640202310913077072696d61727930"
        "15060760867601640265310a0c083030303030303030"
    )


def test_certificate_chain_is_accepted_by_openssl(
    certificates: dict[str, Path], label: str, tmp_path: Path
) -> None:
    pem = {
        name: openssl("x509", "-inform", "DER", "-in", certificates[source])
        for name, source in {"leaf": label, "ca": "CA Cert", "root": "ROOT CA Cert"}.items()
    }
    files = {name: tmp_path / f"{name}.pem" for name in pem}
    for name, file in files.items():
        file.write_bytes(pem[name])
    chain = ("-x509_strict", "-CAfile", files["root"], "-untrusted", files["ca"])
    assert openssl("verify", *chain, files["leaf"]).endswith(b": OK\n")
    # What the card carries is what the environment offers for verification.


def test_environment_offers_the_certificates_of_its_cas(
    shared_issuer: Issuer, certificates: dict[str, Path]
) -> None:
    for label, file in {"CA Cert": "ca.pem", "ROOT CA Cert": "root.pem"}.items():
        offered = openssl("x509", "-in", shared_issuer.environment.pki / file, "-outform", "DER")
        assert offered == certificates[label].read_bytes()


def test_ca_certificates_may_certify_and_nothing_else(certificates: dict[str, Path]) -> None:
    for label, path_length in {"CA Cert": 0, "ROOT CA Cert": None}.items():
        certificate = asn1.Certificate.load(certificates[label].read_bytes())
        assert {"basic_constraints", "key_usage"} <= set(certificate.critical_extensions)
        assert certificate.basic_constraints_value.native == {
            "ca": True,
            "path_len_constraint": path_length,
        }
        assert certificate.key_usage_value.native == {"key_cert_sign", "crl_sign"}
        assert "測試" in certificate.subject.human_friendly


def test_issue_with_options_puts_them_into_the_certificate(shared_issuer: Issuer, tmp_path: Path) -> None:
    card = shared_issuer.issue(
        *("--holder", r"C=TW,L=臺北市,L=大安區,O=某\,協會", "--organisation-oid", "2.16.886.111.7"),
        *("--rank", "primary", "--email", "it@example.org", "--years", "3", "--issue-date", "2024-02-29"),
    )
    file = shared_issuer.read_certificate(card["number"], "cert1", tmp_path / "cert1.der")
    tbs = asn1.Certificate.load(file.read_bytes())["tbs_certificate"]
    assert [value for *_, value in _rdns(tbs["subject"])] == ["TW", "臺北市", "大安區", "某,協會"]
    names = [e["extn_id"].native for e in tbs["extensions"]]
    assert names.index("subject_alt_name") == names.index("certificate_policies") + 1
    (address,) = asn1.GeneralNames.load(_extension(tbs, "subject_alt_name"))
    assert (address.name, address.native) == ("rfc822_name", "it@example.org")
    assert _extension(tbs, "subject_directory_attributes") == directory_attributes(
        SCHOOL, "primary", organisation_oid="2.16.886.111.7"
    )
    start, end = tbs["validity"]["not_before"].native, tbs["validity"]["not_after"].native
    taipei = start + timedelta(hours=8)
    assert (taipei.year, taipei.month, taipei.day) == (2024, 2, 29)
    assert end - start == timedelta(days=3 * 365)


def test_init_with_the_compatibility_policy_puts_it_into_certificates(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path / "environment")
    assert issuer.run("init", "--compatibility-policy").returncode == 0
    number = issue(issuer.environment, USER_CODE).number
    certificate = asn1.Certificate.load(issuer.read_certificate(number, "cert1", tmp_path / "c").read_bytes())
    assert certificate.certificate_policies_value.native[0]["policy_identifier"] == "2.16.886.101.0.3.3"


def test_validity_from_a_leap_day_ends_on_the_28th_where_there_is_none() -> None:
    day = datetime(2024, 2, 29, 12, 30, 5, tzinfo=UTC)
    assert validity(day, 6)[1] == day.replace(year=2030, day=28)
    assert validity(day, 4)[1] == day.replace(year=2028)


@pytest.mark.parametrize("text", ["", "國立臺灣大學", "C=TWN,O=x", "C=TW,O=x+OU=y", "C=TW,O=", "X=1"])
def test_holder_that_is_no_name_is_refused(issuer: Issuer, text: str) -> None:
    with pytest.raises(BadValueError, match="C=TW,L=臺北市,O=國立臺灣大學"):
        issue(Environment(issuer.path), USER_CODE, Application(holder=text))


@pytest.mark.parametrize(
    "application",
    [
        Application(organisation_oid="2.16.x"),
        Application(email="nobody"),
        Application(years=0),
        Application(years=40),
        Application(years=10000),
    ],
)
def test_issue_of_what_no_certificate_can_hold_is_refused(issuer: Issuer, application: Application) -> None:
    with pytest.raises(BadValueError):
        issue(Environment(issuer.path), USER_CODE, application)
    assert issuer.cards() == {}
    assert list(issuer.environment.staging.iterdir()) == []
