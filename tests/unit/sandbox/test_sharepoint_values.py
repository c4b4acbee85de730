"""SharePoint's paths, forms, columns and filters as pure functions."""

from typing import Any

import pytest

from sandbox.sharepoint import filters, odata
from sandbox.sharepoint.accounts import PLACET, digest_holds, form_digest, sign_in, token_for
from sandbox.sharepoint.columns import Column, Kind, parse, shown
from sandbox.sharepoint.errors import PlainError, SharePointError
from sandbox.sharepoint.odata import Complex, Entity, Form, Many, Segment


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("contextInfo", [Segment("contextinfo")]),
        (
            "Web/Lists/GetByTitle('It''s a/b (c)')/items(7)",
            [
                Segment("web"),
                Segment("lists"),
                Segment("getbytitle", ("It's a/b (c)",)),
                Segment("items", ("7",)),
            ],
        ),
        ("web/lists(guid'AB-1')", [Segment("web"), Segment("lists", ("AB-1",))]),
        (
            "web/lists/getbyid(guid='ab')/",
            [Segment("web"), Segment("lists"), Segment("getbyid", ("ab",))],
        ),
    ],
)
def test_paths_are_taken_apart(path: str, expected: list[Segment]) -> None:
    assert odata.segments(path) == expected


@pytest.mark.parametrize("path", ["items(1", "web//lists", "1", "web/lists('a", "a b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(SharePointError) as caught:
        odata.segments(path)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("application/json; odata=verbose", Form.VERBOSE),
        ("application/json", Form.MINIMAL),
        ("text/html, application/json;odata=nometadata", Form.NONE),
    ],
)
def test_the_accept_header_names_the_form(header: str, form: Form) -> None:
    assert odata.form_of(header) is form


def test_xml_is_not_spoken_here() -> None:
    with pytest.raises(SharePointError) as caught:
        odata.form_of("application/atom+xml")
    assert caught.value.status == 406


def test_an_entity_in_three_forms() -> None:
    values = {
        "Title": "x",
        "Tags": Many("Edm.String", ("a",)),
        "Link": Complex("SP.FieldUrlValue", {"Url": "u"}),
    }
    entity = Entity(
        type="SP.T", uri="http://s.test/_api/x", values=values, etag='"1"', links=("L",)
    )
    verbose = odata.one(entity, Form.VERBOSE)["d"]
    assert verbose["__metadata"]["etag"] == '"1"'
    assert verbose["Tags"]["results"] == ["a"]
    assert verbose["Link"]["__metadata"] == {"type": "SP.FieldUrlValue"}
    assert verbose["L"] == {"__deferred": {"uri": "http://s.test/_api/x/L"}}
    assert odata.one(entity, Form.MINIMAL)["odata.etag"] == '"1"'
    assert odata.one(entity, Form.NONE) == {"Title": "x", "Tags": ["a"], "Link": {"Url": "u"}}


@pytest.mark.parametrize(
    ("kind", "sent", "kept"),
    [
        (Kind.TEXT, "", None),
        (Kind.TEXT, "x", "x"),
        (Kind.NOTE, "x" * 300, "x" * 300),
        (Kind.NUMBER, 3, 3.0),
        (Kind.BOOLEAN, False, False),
        (Kind.DATETIME, "2026-01-01T00:00:00.9+01:00", "2025-12-31T23:00:00Z"),
        (Kind.DATETIME, "2026-01-01T00:00:00", "2026-01-01T00:00:00Z"),
        (Kind.CHOICE, "not on the list", "not on the list"),
        (Kind.MULTICHOICE, {"results": ["a"]}, ["a"]),
        (Kind.MULTICHOICE, ["a"], ["a"]),
        (Kind.URL, {"Url": "u"}, {"Description": "u", "Url": "u"}),
        (Kind.NUMBER, None, None),
    ],
)
def test_what_a_column_keeps(kind: Kind, sent: Any, kept: Any) -> None:
    assert parse(Column(name="C", title="C", kind=kind), sent) == kept


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (Kind.TEXT, 1),
        (Kind.TEXT, "x" * 256),
        (Kind.NUMBER, "1"),
        (Kind.NUMBER, True),
        (Kind.BOOLEAN, 1),
        (Kind.DATETIME, 5),
        (Kind.MULTICHOICE, "a"),
        (Kind.URL, "u"),
    ],
)
def test_what_a_column_refuses(kind: Kind, sent: Any) -> None:
    with pytest.raises(SharePointError):
        parse(Column(name="C", title="C", kind=kind), sent)


def test_a_column_survives_its_json() -> None:
    column = Column(name="C", title="Sea", kind=Kind.CHOICE, choices=("a", "b"))
    assert Column.from_json(column.to_json()) == column
    assert shown(Column(name="M", title="M", kind=Kind.MULTICHOICE), ["a"]) == Many(
        "Edm.String", ("a",)
    )


VALUES = {"Title": "It's Mine", "Id": 7, "Due": "2026-01-01T00:00:00Z", "Done": True, "Key": None}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Title eq 'it''s mine'", True),
        ("Id gt 6 and Id lt 8", True),
        ("(Id eq 7) and (Done eq true)", True),
        ("Key eq null", True),
        ("Key gt 'a'", False),
        ("startswith(Title,'it')", True),
        ("substringof('mine',Title) and Id ne 7", False),
        ("Due ge datetime'2025-01-01T00:00:00Z'", True),
    ],
)
def test_filters(expression: str, *, expected: bool) -> None:
    assert filters.matches(expression, VALUES) is expected


@pytest.mark.parametrize("expression", ["", "Title", "Nope eq 1", "Id eq", "Id eq 7 or Id eq 8"])
def test_filters_it_cannot_read(expression: str) -> None:
    with pytest.raises(SharePointError):
        filters.matches(expression, VALUES)


def test_tokens_expire_and_cannot_be_made_up() -> None:
    token = token_for(PLACET.client_id, PLACET.secret, expires=100)
    assert sign_in(f"Bearer {token}", now=99) is PLACET
    for header, now, status in [
        (f"Bearer {token}", 100, 401),
        (f"Bearer {token}x", 99, 401),
        ("Bearer ...", 99, 401),
        ("Basic YTpi", 99, 401),
        (None, 99, 403),
    ]:
        with pytest.raises(PlainError) as caught:
            sign_in(header, now)
        assert caught.value.status == status


def test_digests_expire_and_cannot_be_made_up() -> None:
    digest = form_digest(1000)
    assert digest_holds(digest, now=1001, lifetime=10)
    assert not digest_holds(digest, now=1010, lifetime=10)
    for text in ("", "0x1,1000", "x", digest[:-1] + "1", "é,1000"):
        assert not digest_holds(text, now=1001, lifetime=10)
