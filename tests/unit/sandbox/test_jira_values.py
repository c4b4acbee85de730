"""Jira's fields, documents and JQL as pure functions."""

import pytest

from sandbox.jira import documents, jql
from sandbox.jira.accounts import ANONYMOUS, EXPIRED_SECRET, PLACET, sign_in
from sandbox.jira.errors import JiraError
from sandbox.jira.fields import FIELDS, Dialect, FieldValueError, parse
from sandbox.jira.rendering import change_item, render, timestamp

CLOUD = Dialect(base="http://jira.test", version="3", cloud=True)
SERVER = Dialect(base="http://jira.test", version="2", cloud=False)


def test_a_document_becomes_wiki_text() -> None:
    document = {
        "version": 1,
        "type": "doc",
        "content": [
            {"type": "heading", "attrs": {"level": 2}, "content": [{"type": "text", "text": "T"}]},
            {
                "type": "paragraph",
                "content": [
                    {"type": "text", "text": "bold", "marks": [{"type": "strong"}]},
                    {"type": "hardBreak"},
                    {
                        "type": "text",
                        "text": "here",
                        "marks": [{"type": "link", "attrs": {"href": "http://x.test"}}],
                    },
                ],
            },
            {
                "type": "bulletList",
                "content": [
                    {
                        "type": "listItem",
                        "content": [
                            {"type": "paragraph", "content": [{"type": "text", "text": "a"}]}
                        ],
                    }
                ],
            },
        ],
    }
    assert documents.is_document(document)
    assert documents.to_wiki(document) == "h2. T\n\n*bold*\n[here|http://x.test]\n\n* a"


@pytest.mark.parametrize("text", ["one", "one\ntwo", "one\n\ntwo", "a\n\n\nb", ""])
def test_plain_text_survives_the_way_to_a_document_and_back(text: str) -> None:
    document = documents.to_document(text)
    assert documents.is_document(document)
    assert documents.to_wiki(document) == text


@pytest.mark.parametrize(
    "value",
    [
        "text",
        None,
        {"type": "doc", "content": []},
        {"type": "doc", "version": 2, "content": []},
        {"type": "doc", "version": 1, "content": [], "extra": 1},
        {"type": "doc", "version": 1, "content": [{"type": "text", "text": ""}]},
        {"type": "doc", "version": 1, "content": [{"type": "marquee"}]},
        {
            "type": "doc",
            "version": 1,
            "content": [{"type": "text", "text": "x", "marks": [{"type": "blink"}]}],
        },
    ],
)
def test_what_jira_takes_for_no_document(value: object) -> None:
    assert not documents.is_document(value)


def test_options_are_kept_by_id_and_shown_by_name() -> None:
    field = FIELDS["customfield_10050"]
    kept = parse(field, {"value": "Delivery"}, CLOUD)
    assert kept == "10101"
    assert parse(field, {"id": "10101"}, CLOUD) == kept
    assert render(field, kept, CLOUD) == {
        "self": "http://jira.test/rest/api/3/customFieldOption/10101",
        "value": "Delivery",
        "id": "10101",
    }
    item = change_item(field, None, kept)
    assert (item["field"], item["fieldId"]) == ("Resolution category", field.id)
    assert (item["to"], item["toString"]) == ("10101", "Delivery")


def test_people_have_an_account_id_on_cloud_and_a_name_elsewhere() -> None:
    field = FIELDS["assignee"]
    kept = parse(field, {"accountId": PLACET.account_id}, CLOUD)
    assert kept == parse(field, {"name": "placet"}, SERVER)
    with pytest.raises(FieldValueError):
        parse(field, {"name": "placet"}, CLOUD)


def test_moments_have_milliseconds_and_no_colon_in_the_zone() -> None:
    assert timestamp(1764000000.1239) == "2025-11-24T16:00:00.123+0000"


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("key = SUP-1", {"key": ("sup-1",)}, True),
        ("key in (SUP-1, SUP-2)", {"key": ("sup-2",)}, True),
        ("key != SUP-1", {"key": ("sup-1",)}, False),
        ('summary ~ "two words"', {"summary": ("has two words in it",)}, True),
        ("labels is EMPTY", {"labels": ()}, True),
        ("labels is not EMPTY and key = a", {"labels": ("x",), "key": ("a",)}, True),
        ("project = SUP AND key = SUP-9 ORDER BY created DESC", {"project": ("sup",)}, False),
    ],
)
def test_the_little_jql(text: str, row: dict[str, tuple[str, ...]], *, expected: bool) -> None:
    assert jql.parse(text).holds(row) is expected


@pytest.mark.parametrize(
    "text", ["key", "key =", "key = a or key = b", "colour = red", "key in (a"]
)
def test_jql_errors(text: str) -> None:
    with pytest.raises(jql.JqlError):
        jql.parse(text)


@pytest.mark.parametrize("header", ["Basic !!!", "Basic YTpi", "Bearer x", "Digest y", ""])
def test_bad_credentials_are_refused(header: str) -> None:
    for cloud in (True, False):
        with pytest.raises(JiraError) as caught:
            sign_in(header, cloud=cloud)
        assert caught.value.status == 401


def test_an_expired_token_makes_the_caller_anonymous() -> None:
    import base64

    credentials = base64.b64encode(f"{PLACET.email}:{EXPIRED_SECRET}".encode()).decode()
    caller = sign_in(f"Basic {credentials}", cloud=True)
    assert caller.account is ANONYMOUS
    assert caller.headers == {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"}
