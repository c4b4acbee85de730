"""Names are the same for ever: these values are promises to everybody who stored one."""

import pytest

from contract import identity
from contract.identity import Digester


def test_the_namespace_is_that_of_the_urn():
    import uuid

    assert uuid.uuid5(uuid.NAMESPACE_URL, "urn:placet") == identity.NAMESPACE


def test_an_item_is_named_as_the_contract_says():
    assert identity.item_id("support-rag", "42") == "b6e87070-6681-5338-b243-fdb88f23e92e"


def test_parts_are_not_just_joined():
    assert identity.item_id("a", "b/c") != identity.item_id("a/b", "c")
    assert identity.item_id('a"', "b") != identity.item_id("a", '"b')


def test_record_keys_escape_what_would_make_two_records_one():
    assert identity.record_key("sql", "faq", "a/b") == b"sql/faq/a%2Fb"
    assert identity.record_key("sql", "faq", "ä ") == b"sql/faq/%C3%A4%20"


def test_digests_are_keyed_and_do_not_depend_on_the_order_of_keys():
    one, other = Digester(b"1" * 32), Digester(b"2" * 32)
    assert one.of_value({"a": 1, "b": 2}) == one.of_value({"b": 2, "a": 1})
    assert one.of_value({"a": 1}) != other.of_value({"a": 1})


def test_an_installation_key_of_another_size_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        Digester(b"short")
