# SPDX-License-Identifier: Apache-2.0
"""A secret shows itself to nobody but the caller of reveal()."""

import copy
import pickle
import traceback

import pytest

from xca_plugin import Secret

VALUE = "tOp-5ecret"


def test_it_does_not_show() -> None:
    secret = Secret(VALUE)
    assert secret.reveal() == VALUE
    for shown in (repr(secret), str(secret), f"{secret}", f"{[secret]}", "%s" % (secret,)):  # noqa: UP031
        assert VALUE not in shown


def test_it_is_not_serialised() -> None:
    for serialise in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError) as refused:
            serialise(Secret(VALUE))
        assert VALUE not in "".join(traceback.format_exception(refused.value))


def test_it_is_wiped_after_use() -> None:
    with Secret(VALUE) as secret:
        assert secret.reveal() == VALUE
    assert secret.reveal() == ""


def test_it_is_wiped_after_a_failure_too() -> None:
    secret = Secret(VALUE)
    with pytest.raises(KeyError), secret:
        raise KeyError
    assert secret.reveal() == ""


def test_it_compares_by_value() -> None:
    assert Secret(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret("other")
    assert Secret(VALUE) != VALUE


@pytest.mark.parametrize("value", ["", "用戶代碼", "a\x00b", "\udcff", "a\ud800b"])
def test_whatever_was_entered_comes_back(value: str) -> None:
    assert Secret(value).reveal() == value
