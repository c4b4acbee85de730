"""Names are the same for ever: these values are promises to everybody who stored one."""

import pytest

from contract import identity
from contract.identity import Digester


def test_the_namespace_is_that_of_the_urn():
    import uuid

    assert uuid.uuid5(uuid.NAMESPACE_URL, "urn:placet") == identity.NAMESPACE


def test_an_item_is_named_as_the_contract_says():
    assert identity.item_id("support-rag", "42") == "b6e87070-6681-5338-b243-fdb88f23e92e"


ITEM = identity.item_id("support-rag", "42")
DECISION = identity.decision_id(ITEM, 1)
WRITE_BACK = identity.write_back_id(DECISION, "sql", "support-faq", "q-42", "fields")
NAMES = {
    "decision": (DECISION, "2db5e195-7c20-5921-a18b-3fb01b4360d4"),
    "write-back": (WRITE_BACK, "0084547c-eb16-594e-9ffb-e9bcf63a04b8"),
    "review item's event": (
        identity.review_item_event_id(ITEM, 1, b"\x01" * 32),
        "770d4ac9-6655-530d-b09b-1351590f55d6",
    ),
    "write-back's event": (
        identity.write_back_event_id(WRITE_BACK, 1),
        "d2f7489a-f0b9-578a-8011-64f7423aefbd",
    ),
    "dead letter": (
        identity.dead_letter_event_id("intake", "placet.model-outputs", 3, 17),
        "61b916d1-7ff4-57f3-8962-26656e11b3ca",
    ),
    "outcome": (
        identity.outcome_event_id(ITEM, 1, "COMPLETED", "cause"),
        "99736fa2-7440-5013-8d9c-bd8f3223a42d",
    ),
}


@pytest.mark.parametrize("what", NAMES)
def test_every_name_is_the_same_for_ever(what: str):
    made, promised = NAMES[what]
    assert made == promised


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
