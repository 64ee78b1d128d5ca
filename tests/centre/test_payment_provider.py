# SPDX-License-Identifier: Apache-2.0
"""Payment providers: which one a centre has, and the one for tests."""

from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from support.centre.authority import NOW
from support.centre.begun import opened, write_settings
from xca_centre import payment_provider, settings
from xca_centre.errors import BadSettings, NoSuchPaymentProvider, PaymentProviderUnavailable
from xca_centre.payment_provider import GROUP, Payment, SlipToPay, find_provider
from xca_centre.trial_provider import TrialProvider

SLIP = SlipToPay("1234567890123452", 420, NOW + timedelta(days=14))


def broken(folder: Path) -> TrialProvider:
    """Open a provider whose package is at fault."""
    raise RuntimeError(f"secret in {folder}")


def closed(folder: Path) -> TrialProvider:
    """Open a provider that says that it cannot be used."""
    raise PaymentProviderUnavailable(reason="no contract")


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets a package offer the provider `acme`: module:function."""

    def installed(value: str) -> None:
        found = EntryPoints([EntryPoint("acme", value, GROUP)])
        monkeypatch.setattr(payment_provider, "entry_points", lambda group: found.select(group=group))

    return installed


def test_settings_choose_the_provider_and_its_folder(tmp_path: Path) -> None:
    centre = opened(write_settings(tmp_path))
    assert centre.payment_provider == TrialProvider(tmp_path / "payments")


def test_provider_of_another_package_is_found_by_its_entry_point(
    tmp_path: Path, offer: Callable[[str], None]
) -> None:
    offer("xca_centre.trial_provider:TrialProvider")
    assert find_provider("acme", tmp_path) == TrialProvider(tmp_path)


def test_provider_that_nobody_offers_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(NoSuchPaymentProvider) as refused:
        find_provider("acme", tmp_path)
    assert "acme" in refused.value.message("en")
    assert "test" in refused.value.offered


@pytest.mark.parametrize("value", [f"{__name__}:broken", "no.such.module:open", f"{__name__}:nothing"])
def test_provider_whose_package_is_at_fault_is_told_without_what_it_says(
    tmp_path: Path, offer: Callable[[str], None], value: str
) -> None:
    offer(value)
    with pytest.raises(PaymentProviderUnavailable) as refused:
        find_provider("acme", tmp_path)
    assert "secret" not in refused.value.message("en")


def test_provider_that_cannot_be_used_says_why(tmp_path: Path, offer: Callable[[str], None]) -> None:
    offer(f"{__name__}:closed")
    with pytest.raises(PaymentProviderUnavailable, match="no contract"):
        find_provider("acme", tmp_path)


def test_provider_where_nobody_pays_is_refused_to_a_real_issuer(tmp_path: Path) -> None:
    path = write_settings(tmp_path) / "centre.toml"
    path.write_text(path.read_text("utf-8").replace('issuer = "test"', 'issuer = "xca"'), "utf-8")
    with pytest.raises(BadSettings) as refused:
        settings.read(tmp_path)
    assert refused.value.key == "payments.provider"
    path.write_text(path.read_text("utf-8").replace('provider = "test"', 'provider = "acme"'), "utf-8")
    assert settings.read(tmp_path).payment_provider == "acme"


def test_test_provider_remembers_the_first_payment_of_a_slip(tmp_path: Path) -> None:
    provider = TrialProvider(tmp_path / "payments")
    assert provider.payment(SLIP) is None
    for minutes in range(2):
        provider.pay(SLIP, NOW + timedelta(minutes=minutes))
    assert TrialProvider(tmp_path / "payments").payment(SLIP) == Payment(420, NOW)


def test_test_provider_whose_folder_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "payments").write_text("a file")
    provider = TrialProvider(tmp_path / "payments")
    with pytest.raises(PaymentProviderUnavailable):
        provider.payment(SLIP)
    with pytest.raises(PaymentProviderUnavailable):
        provider.pay(SLIP, NOW)
