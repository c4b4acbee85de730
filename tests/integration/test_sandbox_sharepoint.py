"""The SharePoint stand-in through the unmodified `office365` library, over real connections."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from office365.runtime.client_request_exception import ClientRequestException
from office365.sharepoint.client_context import ClientContext
from office365.sharepoint.exceptions import SPDuplicateValuesFoundException
from office365.sharepoint.listitems.listitem import ListItem
from office365.sharepoint.lists.list import List
from tests.support.sandbox import Sandbox, running

PLACET = ("0b7c2f3e-5d1a-4c55-9a0e-000000000001", "sharepoint-sandbox-secret")
READER = ("0b7c2f3e-5d1a-4c55-9a0e-000000000002", "sharepoint-reader-secret")
OUTSIDER = ("0b7c2f3e-5d1a-4c55-9a0e-000000000003", "sharepoint-outsider-secret")
TITLE = "Knowledge articles"
KIND = "SP.Data.Knowledge_x0020_articlesListItem"
NONE = "application/json;odata=nometadata"
VERBOSE = "application/json;odata=verbose"


@pytest.fixture(scope="module")
def process() -> Iterator[Sandbox]:
    with running("sharepoint") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: Sandbox) -> Sandbox:
    process.post("reset")
    return process


def token(sandbox: Sandbox, app: tuple[str, str] = PLACET) -> dict[str, Any]:
    form = {
        "grant_type": "client_credentials",
        "client_id": app[0],
        "client_secret": app[1],
        "scope": f"{sandbox.url}/.default",
    }
    url = f"{sandbox.url}/tenant/oauth2/v2.0/token"
    answer: dict[str, Any] = requests.post(url, data=form, timeout=5).json()
    return answer


def connect(sandbox: Sandbox, app: tuple[str, str] = PLACET) -> ClientContext:
    context = ClientContext(f"{sandbox.url}/sites/support")
    return context.with_access_token(lambda: token(sandbox, app)).with_transport(timeout=5)


@pytest.fixture
def context(sandbox: Sandbox) -> Iterator[ClientContext]:
    connected = connect(sandbox)
    yield connected
    connected.close()


@pytest.fixture
def articles(context: ClientContext) -> List:
    return context.web.lists.get_by_title(TITLE)


def read(articles: List, number: int) -> tuple[str, dict[str, Any]]:
    """The ETag and the values of an item, as the library got them."""
    item = articles.get_item_by_id(number)
    etags: list[str] = []
    item.get()
    item.context.after_execute(lambda r: etags.append(r.headers["ETag"]), include_response=True)
    item.context.execute_query()
    return etags[0], item.properties


def merge(articles: List, number: int, etag: str, **values: Any) -> requests.Response:
    item = ListItem(articles.context, articles.get_item_by_id(number).resource_path, articles)
    for name, value in values.items():
        item.set_property(name, value)
    item.update()
    answers: list[requests.Response] = []
    context = articles.context
    context.before_execute(lambda request: request.headers.update({"IF-MATCH": etag}))
    context.after_execute(answers.append, include_response=True)
    context.execute_query()
    return answers[0]


def headers(sandbox: Sandbox, accept: str = NONE, app: tuple[str, str] = PLACET) -> dict[str, str]:
    bearer = f"Bearer {token(sandbox, app)['access_token']}"
    return {"Authorization": bearer, "Accept": accept, "Content-Type": accept}


def items_url(sandbox: Sandbox, rest: str = "") -> str:
    return f"{sandbox.url}/sites/support/_api/web/lists/getbytitle('{TITLE}')/items{rest}"


def test_the_library_signs_in_and_reads(context: ClientContext, articles: List) -> None:
    assert context.web.get().execute_query().properties["Title"] == "Support"
    articles.get().execute_query()
    assert articles.properties["ListItemEntityTypeFullName"] == KIND
    assert articles.properties["ItemCount"] == 8
    etag, values = read(articles, 1)
    assert etag == f'"{values["GUID"]},1"'
    assert values["Title"] == "How long does a refund take?"
    assert values["ReviewedOn"] == "2026-09-14T08:30:00Z"


def test_fields_tell_type_length_required_and_choices(articles: List) -> None:
    fields = {f.internal_name: f.properties for f in articles.fields.get().execute_query()}
    assert fields["Title"]["Required"] is True
    assert fields["Title"]["MaxLength"] == 255
    assert fields["RefundLimit"]["TypeAsString"] == "Number"
    assert list(fields["Category"]["Choices"]) == ["Billing", "Delivery", "Account", "Other"]
    assert fields["PlacetKey"]["EnforceUniqueValues"] is True
    assert fields["Modified"]["ReadOnlyField"] is True


def test_a_merge_under_the_etag_read_before_writes_fields_and_marker(
    sandbox: Sandbox, articles: List
) -> None:
    etag, before = read(articles, 2)
    answer = merge(articles, 2, etag, Title="Changed", RefundLimit=20, PlacetWriteBack="w1")
    assert answer.status_code == 204
    after_etag, after = read(articles, 2)
    assert answer.headers["ETag"] == after_etag == f'"{before["GUID"]},2"'
    assert (after["Title"], after["RefundLimit"], after["PlacetWriteBack"]) == ("Changed", 20, "w1")
    assert after["Answer"] == before["Answer"]
    [effect] = sandbox.effects("2")
    assert json.loads(effect["marker"]) == {"PlacetWriteBack": "w1"}
    assert effect["fields"]["Title"] == {"before": before["Title"], "after": "Changed"}


def test_a_stale_etag_is_412_and_writes_nothing(sandbox: Sandbox, articles: List) -> None:
    etag, _ = read(articles, 2)
    sandbox.post("edit", record="2", fields={"Title": "Theirs"})
    with pytest.raises(ClientRequestException) as caught:
        merge(articles, 2, etag, Title="Ours")
    assert caught.value.response.status_code == 412
    assert "does not match the object's ETag" in caught.value.message
    assert read(articles, 2)[1]["Title"] == "Theirs"
    assert [e["via"] for e in sandbox.effects()] == ["hand"]


def test_without_an_etag_of_its_own_the_library_overwrites(
    sandbox: Sandbox, articles: List
) -> None:
    sandbox.post("edit", record="2", fields={"Title": "Theirs"})
    articles.get_item_by_id(2).set_property("Title", "Ours").update().execute_query()
    assert read(articles, 2)[1]["Title"] == "Ours"


@pytest.mark.parametrize(
    ("values", "status", "message"),
    [
        ({"Nope": "x"}, 400, "does not exist on type"),
        ({"Title": 5}, 400, "Edm.String"),
        ({"Title": "x" * 256}, 500, "Invalid text value"),
        ({"RefundLimit": "12"}, 400, "Edm.Double"),
        ({"Published": "yes"}, 400, "Edm.Boolean"),
        ({"ReviewedOn": "tomorrow"}, 400, "Edm.DateTime"),
        ({"Source": "https://example.test"}, 400, "SP.FieldUrlValue"),
    ],
)
def test_a_bad_value_is_refused_and_nothing_is_written(
    sandbox: Sandbox, articles: List, values: dict[str, Any], status: int, message: str
) -> None:
    with pytest.raises(ClientRequestException) as caught:
        merge(articles, 1, "*", **values)
    assert caught.value.response.status_code == status
    assert message in caught.value.message
    assert sandbox.effects() == []


def test_what_sharepoint_takes_without_checking(articles: List) -> None:
    """Choices, required values, read-only columns: only the forms look at them."""
    merge(articles, 1, "*", Category="Nonsense", Title="", Modified="2020-01-01T00:00:00Z")
    values = read(articles, 1)[1]
    assert values["Category"] == "Nonsense"
    assert values["Title"] is None
    assert not values["Modified"].startswith("2020")


def test_times_come_back_in_utc_without_fractions(articles: List) -> None:
    merge(articles, 1, "*", ReviewedOn="2026-11-24T10:00:00.750+02:00")
    assert read(articles, 1)[1]["ReviewedOn"] == "2026-11-24T08:00:00Z"


def test_a_new_item_with_a_taken_key_is_refused_whatever_its_case(
    sandbox: Sandbox, articles: List
) -> None:
    created = articles.add_item({"Title": "New", "PlacetKey": "w-1"}).execute_query()
    assert created.properties["Id"] == 9
    with pytest.raises(SPDuplicateValuesFoundException):
        articles.add_item({"Title": "Again", "PlacetKey": "W-1"}).execute_query()
    found = articles.items.filter("PlacetKey eq 'w-1'").get().execute_query()
    assert [item.properties["Id"] for item in found] == [9]
    assert [e["operation"] for e in sandbox.effects()] == ["create"]


def test_pages_follow_the_next_link(articles: List) -> None:
    found = articles.items.get_all(page_size=3).execute_query()
    assert [item.properties["Id"] for item in found] == list(range(1, 9))


def test_the_light_forms_page_by_odata_next_link(sandbox: Sandbox) -> None:
    with requests.Session() as session:
        session.headers.update(headers(sandbox))
        url: str | None = items_url(sandbox, "?$top=3&$select=Id")
        numbers = []
        while url:
            page = session.get(url, timeout=5).json()
            numbers += [item["Id"] for item in page["value"]]
            url = page.get("odata.nextLink")
    assert numbers == list(range(1, 9))


@pytest.mark.parametrize(
    ("accept", "key"),
    [(VERBOSE, "d"), ("application/json;odata=minimalmetadata", "odata.etag"), (NONE, "Title")],
)
def test_three_forms_of_json(sandbox: Sandbox, accept: str, key: str) -> None:
    answer = requests.get(items_url(sandbox, "(1)"), headers=headers(sandbox, accept), timeout=5)
    assert key in answer.json()
    assert answer.headers["ETag"].endswith(',1"')
    assert answer.headers["Content-Type"].startswith(accept.split(";", maxsplit=1)[0])


def test_a_verbose_entry_needs_its_type_and_a_light_one_must_not_have_it(sandbox: Sandbox) -> None:
    typed = {"__metadata": {"type": KIND}, "Title": "x"}
    for accept, body, status in [
        (VERBOSE, typed, 204),
        (VERBOSE, {"Title": "x"}, 400),
        (NONE, {"Title": "x"}, 204),
        (NONE, typed, 400),
    ]:
        sent = {**headers(sandbox, accept), "X-HTTP-Method": "MERGE", "If-Match": "*"}
        answer = requests.post(items_url(sandbox, "(1)"), json=body, headers=sent, timeout=5)
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("app", "read_status", "write_status"),
    [(PLACET, 200, 204), (READER, 200, 403), (OUTSIDER, 403, 403)],
)
def test_who_may_do_what(
    sandbox: Sandbox, app: tuple[str, str], read_status: int, write_status: int
) -> None:
    sent = headers(sandbox, app=app)
    url = items_url(sandbox, "(1)")
    assert requests.get(url, headers=sent, timeout=5).status_code == read_status
    merging = {**sent, "X-HTTP-Method": "MERGE", "If-Match": "*"}
    answer = requests.post(url, json={"Title": "x"}, headers=merging, timeout=5)
    assert answer.status_code == write_status


def test_no_bad_and_expired_tokens(sandbox: Sandbox) -> None:
    url = items_url(sandbox, "(1)")
    accept = {"Accept": NONE}
    assert requests.get(url, headers=accept, timeout=5).status_code == 403
    bad = {**accept, "Authorization": "Bearer a.b.c"}
    assert requests.get(url, headers=bad, timeout=5).status_code == 401
    sandbox.post("settings", token_seconds=-1)
    expired = requests.get(url, headers=headers(sandbox), timeout=5)
    assert expired.status_code == 401
    assert "expired" in expired.headers["x-ms-diagnostics"]


def test_a_wrong_secret_gets_no_token(sandbox: Sandbox) -> None:
    assert token(sandbox, (PLACET[0], "wrong"))["error"] == "invalid_client"


def test_the_library_fetches_a_new_digest_when_the_old_one_is_refused(
    sandbox: Sandbox, articles: List
) -> None:
    read(articles, 1)
    sandbox.post("settings", digest_seconds=0)
    digest = articles.context.pending_request().context_info.FormDigestValue
    sent = {**headers(sandbox), "X-HTTP-Method": "MERGE", "X-RequestDigest": digest}
    answer = requests.post(items_url(sandbox, "(1)"), json={"Title": "x"}, headers=sent, timeout=5)
    assert answer.status_code == 403
    assert "-2130575251" in answer.json()["odata.error"]["code"]
    assert sandbox.effects() == []


def test_missing_deleted_and_odd_resources_are_refused(sandbox: Sandbox, articles: List) -> None:
    sandbox.post("edit", record="8", delete=True)
    sent = headers(sandbox)
    for rest, status in [
        ("(8)", 404), ("(99)", 404), ("(99999999999)", 400), ("('x')", 400), ("(1)/nope", 404),
        ("(1", 400), ("?$filter=Nope eq 1", 400), ("?$filter=Title", 400), ("?$select=Nope", 400),
    ]:  # fmt: skip
        answer = requests.get(items_url(sandbox, rest), headers=sent, timeout=5)
        assert answer.status_code == status, rest
    with pytest.raises(ClientRequestException):
        articles.context.web.lists.get_by_title("It's not here").get().execute_query()
    other = f"{sandbox.url}/sites/other/_api/web"
    assert requests.get(other, headers=sent, timeout=5).status_code == 404


def test_versions_hold_what_was_there_before(articles: List) -> None:
    before = read(articles, 3)[1]["Title"]
    merge(articles, 3, "*", Title="Two")
    versions = articles.get_item_by_id(3).versions.get().execute_query()
    assert [v.properties["Title"] for v in versions] == ["Two", before]


def test_rights_can_be_asked(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/sites/support/_api/web?$select=EffectiveBasePermissions"
    body = requests.get(url, headers=headers(sandbox), timeout=5).json()
    low = int(body["EffectiveBasePermissions"]["Low"])
    assert low & 4
    assert not low & 8


def test_throttling_is_429_with_retry_after(sandbox: Sandbox) -> None:
    sent = headers(sandbox)
    sandbox.post("settings", requests_per_second=1)
    requests.get(items_url(sandbox, "(1)"), headers=sent, timeout=5)
    answer = requests.get(items_url(sandbox, "(1)"), headers=sent, timeout=5)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["RateLimit-Remaining"] == "0"


def test_a_write_is_one_request_once_the_list_is_known_and_no_digest_is_asked(
    sandbox: Sandbox,
) -> None:
    context = connect(sandbox)
    request = context.pending_request()
    request.beforeExecute -= request.ensure_form_digest
    articles = context.web.lists.get_by_title(TITLE)
    articles.get().execute_query()
    etag, _ = read(articles, 1)
    merge(articles, 1, etag, Title="One request")
    context.close()
    sent = [r["method"] for r in sandbox.requests() if "_api" in r["path"]]
    assert sent == ["GET", "GET", "MERGE"]
