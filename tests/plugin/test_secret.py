# SPDX-License-Identifier: Apache-2.0
"""A secret is readable through reveal() only, and can be wiped."""

import copy
import pickle
import traceback

import pytest

from xca_plugin import Secret

VALUE = "tOp-5ecret"


def test_secret_printed_shows_no_value() -> None:
    secret = Secret(VALUE)
    assert secret.reveal() == VALUE
    for shown in (repr(secret), str(secret), f"{secret}", f"{[secret]}", "%s" % (secret,)):  # noqa: UP031
        assert VALUE not in shown


def test_secret_pickled_is_refused() -> None:
    for serialise in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError) as refused:
            serialise(Secret(VALUE))
        assert VALUE not in "".join(traceback.format_exception(refused.value))


def test_secret_after_use_is_wiped() -> None:
    with Secret(VALUE) as secret:
        assert secret.reveal() == VALUE
    assert secret.reveal() == ""


def test_secret_after_a_failure_is_wiped() -> None:
    secret = Secret(VALUE)
    with pytest.raises(KeyError), secret:
        raise KeyError
    assert secret.reveal() == ""


def test_secret_compared_with_an_equal_one_is_equal() -> None:
    assert Secret(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret("other")
    assert Secret(VALUE) != VALUE


@pytest.mark.parametrize("value", ["", "用戶代碼", "a\x00b", "\udcff", "a\ud800b"])
def test_secret_gives_back_what_was_entered(value: str) -> None:
    assert Secret(value).reveal() == value
