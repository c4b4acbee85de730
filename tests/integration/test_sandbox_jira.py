"""The Jira stand-in through the unmodified `jira` library, over real connections."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from jira import JIRA
from jira.exceptions import JIRAError
from tests.support.sandbox import Sandbox, running

MARKER = "placet.write-back"
PLACET = ("placet@example.test", "jira-sandbox-token")


@pytest.fixture(scope="module")
def process() -> Iterator[Sandbox]:
    with running("jira") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: Sandbox) -> Sandbox:
    process.post("reset")
    return process


@pytest.fixture(scope="module")
def data_center_process() -> Iterator[Sandbox]:
    with running("jira", "--deployment", "data-center") as sandbox:
        yield sandbox


@pytest.fixture
def data_center(data_center_process: Sandbox) -> Sandbox:
    data_center_process.post("reset")
    return data_center_process


@pytest.fixture
def jira(sandbox: Sandbox) -> Iterator[JIRA]:
    client = connect(sandbox)
    yield client
    client.close()


def connect(sandbox: Sandbox, basic: tuple[str, str] = PLACET, version: str = "3") -> JIRA:
    return JIRA(
        server=sandbox.url,
        basic_auth=basic,
        options={"rest_api_version": version},
        max_retries=0,
        timeout=5,
    )


def document(text: str) -> dict[str, Any]:
    paragraph = {"type": "paragraph", "content": [{"type": "text", "text": text}]}
    return {"version": 1, "type": "doc", "content": [paragraph]}


def put(client: JIRA, path: str, body: Any) -> requests.Response:
    return client._session.put(client._get_url(path), data=json.dumps(body))


def post(client: JIRA, path: str, body: Any) -> requests.Response:
    return client._session.post(client._get_url(path), data=json.dumps(body))


def refused(action: Callable[[], Any]) -> JIRAError:
    with pytest.raises(JIRAError) as caught:
        action()
    return caught.value


def test_the_library_signs_in_and_reads(jira: JIRA) -> None:
    assert jira._is_cloud
    assert jira.myself()["accountId"]
    assert "summary" in {field["id"] for field in jira.fields()}
    issue = jira.issue("sup-1")
    assert issue.key == "SUP-1"
    assert issue.fields.priority.name == "High"
    assert issue.raw["fields"]["description"]["type"] == "doc"
    assert jira.issue(issue.id).key == "SUP-1"


def test_one_put_writes_fields_and_marker(sandbox: Sandbox, jira: JIRA) -> None:
    body = {
        "fields": {
            "summary": "Refunded",
            "priority": {"name": "Low"},
            "customfield_10050": {"value": "Other"},
            "customfield_10052": 12,
            "customfield_10054": "2026-11-24T10:00:00.000+0200",
            "description": document("Paid back."),
            "labels": ["b", "a"],
        },
        "properties": [{"key": MARKER, "value": {"id": "w1"}}],
    }
    assert put(jira, "issue/SUP-1", body).status_code == 204
    issue = jira.issue("SUP-1", properties=MARKER).raw
    assert issue["properties"] == {MARKER: {"id": "w1"}}
    fields = issue["fields"]
    assert fields["summary"] == "Refunded"
    assert fields["priority"]["name"] == "Low"
    assert fields["customfield_10050"]["value"] == "Other"
    assert fields["customfield_10052"] == 12.0
    assert fields["customfield_10054"] == "2026-11-24T08:00:00.000+0000"
    assert fields["labels"] == ["a", "b"]
    [effect] = sandbox.effects()
    assert effect["record"] == "SUP-1"
    assert effect["fields"]["summary"]["after"] == "Refunded"
    assert json.loads(effect["marker"]) == {MARKER: {"id": "w1"}}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("customfield_99999", "x", "cannot be set"),
        ("status", {"name": "Done"}, "cannot be set"),
        ("summary", "", "must specify a summary"),
        ("summary", "two\nlines", "newline"),
        ("summary", "x" * 256, "255"),
        ("summary", 5, "must be a string"),
        ("description", "plain text", "Atlassian Document"),
        ("description", {"version": 1, "type": "doc", "content": [{"type": "wat"}]}, "Document"),
        ("description", document("x" * 40_000), "32,767"),
        ("priority", {"name": "Whatever"}, "priority"),
        ("customfield_10050", {"value": "Nope"}, "not valid"),
        ("customfield_10052", "12", "must be a number"),
        ("customfield_10054", "tomorrow", "Error parsing"),
        ("duedate", "24.11.2026", "Error parsing date"),
        ("labels", ["with space"], "spaces"),
        ("assignee", {"accountId": "nobody"}, "does not exist"),
    ],
)
def test_a_bad_value_is_refused_by_field_and_nothing_is_written(
    sandbox: Sandbox, jira: JIRA, name: str, value: Any, message: str
) -> None:
    good = {"customfield_10053": "4711-B"}
    error = refused(lambda: put(jira, "issue/SUP-2", {"fields": {**good, name: value}}))
    assert error.status_code == 400
    assert message in error.response.json()["errors"][name]
    assert sandbox.effects() == []


def test_a_body_that_is_not_json_is_refused(jira: JIRA) -> None:
    url = jira._get_url("issue/SUP-2")
    error = refused(lambda: jira._session.put(url, data='{"fields": {"summ'))
    assert error.status_code == 400
    assert "parsing JSON" in error.response.json()["errorMessages"][0]


def test_the_changelog_tells_an_edit_by_hand_from_ours(sandbox: Sandbox, jira: JIRA) -> None:
    put(jira, "issue/SUP-3", {"fields": {"summary": "Ours"}})
    sandbox.post("edit", record="SUP-3", fields={"Summary": "Theirs"})
    log = jira.issue("SUP-3", expand="changelog").raw["changelog"]
    newest, older = log["histories"]
    assert newest["author"]["displayName"] == "Dana Kowalski"
    assert older["author"]["displayName"] == "Placet"
    [item] = newest["items"]
    assert (item["fromString"], item["toString"]) == ("Ours", "Theirs")
    assert [e["via"] for e in sandbox.effects()] == ["api", "hand"]
    page = jira._session.get(jira._get_url("issue/SUP-3/changelog?maxResults=1")).json()
    assert page["values"][0]["id"] == older["id"]
    assert page["isLast"] is False


def test_writing_the_same_values_again_is_an_effect_without_history(
    sandbox: Sandbox, jira: JIRA
) -> None:
    for _ in range(2):
        put(jira, "issue/SUP-3", {"fields": {"summary": "Same"}})
    assert len(sandbox.effects()) == 2
    assert jira.issue("SUP-3", expand="changelog").raw["changelog"]["total"] == 1


def test_issue_properties_are_created_replaced_listed_deleted(sandbox: Sandbox, jira: JIRA) -> None:
    assert jira.add_issue_property("SUP-1", MARKER, {"id": 1}).status_code == 201
    assert jira.add_issue_property("SUP-1", MARKER, {"id": 2}).status_code == 200
    assert jira.issue_property("SUP-1", MARKER).raw["value"] == {"id": 2}
    assert [p.key for p in jira.issue_properties("SUP-1")] == [MARKER]
    url = jira._get_url(f"issue/SUP-1/properties/{MARKER}")
    assert jira._session.delete(url).status_code == 204
    assert refused(lambda: jira.issue_property("SUP-1", MARKER)).status_code == 404
    assert len(sandbox.effects()) == 3


def test_a_property_too_long_is_refused(jira: JIRA) -> None:
    error = refused(lambda: jira.add_issue_property("SUP-1", MARKER, "x" * 32_768))
    assert error.status_code == 400


def conditional(client: JIRA, value: str, **criteria: Any) -> requests.Response:
    body = {"value": value, "filter": {"entityIds": [10001], **criteria}}
    return put(client, "issue/properties/placet.fence", body)


def finish(client: JIRA, answer: requests.Response) -> None:
    while answer.json()["status"] != "COMPLETE":
        answer = client._session.get(answer.url)


def test_a_conditional_property_is_set_by_the_first_only(sandbox: Sandbox, jira: JIRA) -> None:
    first = conditional(jira, "first", hasProperty=False)
    second = conditional(jira, "second", hasProperty=False)
    assert [r.status_code for r in first.history] == [303]
    finish(jira, second)
    assert jira.issue_property("SUP-1", "placet.fence").raw["value"] == "first"
    assert len(sandbox.effects()) == 1


def test_a_conditional_property_compares_and_sets(jira: JIRA) -> None:
    jira.add_issue_property("SUP-1", "placet.fence", "a")
    finish(jira, conditional(jira, "c", currentValue="b"))
    assert jira.issue_property("SUP-1", "placet.fence").raw["value"] == "a"
    finish(jira, conditional(jira, "c", currentValue="a"))
    assert jira.issue_property("SUP-1", "placet.fence").raw["value"] == "c"


def test_a_conditional_property_is_not_there_at_once(sandbox: Sandbox, jira: JIRA) -> None:
    sandbox.post("settings", task_delay=60)
    assert conditional(jira, "late", hasProperty=False).json()["status"] == "ENQUEUED"
    assert refused(lambda: jira.issue_property("SUP-1", "placet.fence")).status_code == 404


def test_a_comment_is_born_with_its_marker(sandbox: Sandbox, jira: JIRA) -> None:
    body = {"body": document("Approved."), "properties": [{"key": MARKER, "value": {"id": "w2"}}]}
    created = post(jira, "issue/SUP-1/comment", body)
    assert created.status_code == 201
    [comment] = jira.comments("SUP-1", expand="properties")
    assert comment.raw["properties"] == body["properties"]
    assert comment.raw["body"] == body["body"]
    assert jira.comments("SUP-1")[0].raw.get("properties") is None
    edited = {"body": document("Superseded."), "properties": [{"key": MARKER, "value": "gone"}]}
    assert put(jira, f"issue/SUP-1/comment/{comment.id}", edited).status_code == 200
    again = jira.comment("SUP-1", comment.id, expand="properties").raw
    assert again["body"] == edited["body"]
    assert again["properties"] == edited["properties"]
    assert [e["operation"] for e in sandbox.effects()] == ["comment", "comment-edit"]


def test_comments_come_in_pages_of_fifty(jira: JIRA) -> None:
    for number in range(51):
        post(jira, "issue/SUP-1/comment", {"body": document(f"note {number}")})
    page = jira._session.get(jira._get_url("issue/SUP-1/comment")).json()
    assert (page["maxResults"], page["total"], len(page["comments"])) == (50, 51, 50)
    assert len(jira.comments("SUP-1", start_at=50, max_results=50)) == 1


@pytest.mark.parametrize("body", [{}, {"body": "text"}, {"body": {"type": "doc"}}])
def test_a_comment_that_is_no_document_is_refused(
    sandbox: Sandbox, jira: JIRA, body: dict[str, Any]
) -> None:
    assert refused(lambda: post(jira, "issue/SUP-1/comment", body)).status_code == 400
    assert sandbox.effects() == []


def test_the_cap_on_comments_is_413(sandbox: Sandbox, jira: JIRA) -> None:
    sandbox.post("settings", comments_per_issue=1)
    post(jira, "issue/SUP-1/comment", {"body": document("one")})
    error = refused(lambda: post(jira, "issue/SUP-1/comment", {"body": document("two")}))
    assert error.status_code == 413


def test_search_lags_behind_writes(sandbox: Sandbox, jira: JIRA) -> None:
    sandbox.post("settings", search_delay=60)
    put(jira, "issue/SUP-4", {"fields": {"summary": "Zebra"}})
    assert jira.search_issues('summary ~ "zebra"', maxResults=5) == []
    [fresh] = jira.enhanced_search_issues('summary ~ "zebra"', reconcileIssues=[10004])
    assert fresh.key == "SUP-4"
    sandbox.post("settings", search_delay=0)
    put(jira, "issue/SUP-4", {"fields": {"summary": "Zebra two"}})
    assert [i.key for i in jira.search_issues('summary ~ "zebra"', maxResults=5)] == ["SUP-4"]


def test_search_pages_by_token(jira: JIRA) -> None:
    first = jira.enhanced_search_issues("project = SUP", maxResults=5, json_result=True)
    assert len(first["issues"]) == 5
    assert first["isLast"] is False
    assert len(jira.search_issues("project = SUP", maxResults=False)) == 12


@pytest.mark.parametrize("jql", ["", 'issue.property[placet].id = "x"', "nonsense", "key IN (a"])
def test_jql_it_cannot_answer_is_refused(jira: JIRA, jql: str) -> None:
    assert refused(lambda: jira.search_issues(jql)).status_code == 400


@pytest.mark.parametrize(
    ("basic", "read", "write"),
    [
        (PLACET, 200, 204),
        (("reader@example.test", "jira-reader-token"), 200, 403),
        (("outsider@example.test", "jira-outsider-token"), 404, 404),
        (("placet@example.test", "wrong"), 401, 401),
        (("placet@example.test", "jira-expired-token"), 404, 404),
    ],
)
def test_who_may_do_what(sandbox: Sandbox, basic: tuple[str, str], read: int, write: int) -> None:
    url = f"{sandbox.url}/rest/api/3/issue/SUP-1"
    assert requests.get(url, auth=basic, timeout=5).status_code == read
    body = {"fields": {"summary": "x"}}
    assert requests.put(url, json=body, auth=basic, timeout=5).status_code == write


def test_an_expired_token_looks_like_a_missing_issue_but_says_so(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/rest/api/3/issue/SUP-1"
    answer = requests.get(url, auth=("placet@example.test", "jira-expired-token"), timeout=5)
    assert answer.headers["X-Seraph-LoginReason"] == "AUTHENTICATED_FAILED"


def test_missing_deleted_and_odd_issues_are_404(sandbox: Sandbox, jira: JIRA) -> None:
    sandbox.post("edit", record="SUP-12", delete=True)
    for name in ("SUP-99", "SUP-12", "99999999999999999999", "SUP-1%2F..", "'", "%0A"):
        answer = refused(lambda name=name: jira.issue(name))
        assert answer.status_code == 404


def test_transitions_are_refused_by_name(sandbox: Sandbox, jira: JIRA) -> None:
    body = {"fields": {"summary": "x"}, "transition": {"id": "5"}}
    assert refused(lambda: put(jira, "issue/SUP-1", body)).status_code == 400
    assert sandbox.effects() == []


def test_permissions_can_be_asked(jira: JIRA) -> None:
    url = jira._get_url("mypermissions?permissions=EDIT_ISSUES,ADMINISTER")
    held = jira._session.get(url).json()["permissions"]
    assert held["EDIT_ISSUES"]["havePermission"] is True
    assert held["ADMINISTER"]["havePermission"] is False


def test_edit_metadata_names_what_may_be_edited(jira: JIRA) -> None:
    fields = jira.editmeta("SUP-1")["fields"]
    assert fields["summary"]["required"] is True
    assert {v["name"] for v in fields["priority"]["allowedValues"]} >= {"High", "Low"}
    assert "status" not in fields


def test_the_burst_limit_answers_429_and_names_itself(sandbox: Sandbox, jira: JIRA) -> None:
    sandbox.post("settings", requests_per_second=1)
    jira.issue("SUP-1")
    error = refused(lambda: jira.issue("SUP-1"))
    assert error.status_code == 429
    assert int(error.response.headers["Retry-After"]) >= 1
    assert error.response.headers["RateLimit-Reason"] == "jira-burst-based"


def test_the_write_limit_is_per_issue(sandbox: Sandbox, jira: JIRA) -> None:
    sandbox.post("settings", writes_per_issue_per_second=1)
    put(jira, "issue/SUP-5", {"fields": {"summary": "x"}})
    error = refused(lambda: put(jira, "issue/SUP-5", {"fields": {"summary": "y"}}))
    assert error.response.headers["RateLimit-Reason"] == "jira-per-issue-on-write"
    assert put(jira, "issue/SUP-6", {"fields": {"summary": "x"}}).status_code == 204
    assert len(sandbox.effects()) == 2


def test_version_2_of_cloud_speaks_wiki_text(jira: JIRA, sandbox: Sandbox) -> None:
    old = connect(sandbox, version="2")
    assert old.issue("SUP-1").fields.description.startswith("The customer")
    put(old, "issue/SUP-1", {"fields": {"description": "One\ntwo\n\nthree"}})
    stored = jira.issue("SUP-1").raw["fields"]["description"]
    assert [node["type"] for node in stored["content"]] == ["paragraph", "paragraph"]
    assert old.issue("SUP-1").fields.description == "One\ntwo\n\nthree"
    old.close()


def test_data_center_speaks_version_2_with_a_personal_token(data_center: Sandbox) -> None:
    client = JIRA(server=data_center.url, token_auth="jira-sandbox-token", max_retries=0, timeout=5)
    assert client.deploymentType == "Server"
    body = {
        "fields": {"summary": "Ours", "description": "h1. Wiki", "assignee": {"name": "admin"}},
        "properties": [{"key": MARKER, "value": {"id": "w1"}}],
    }
    assert put(client, "issue/SUP-1", body).status_code == 204
    issue = client.issue("SUP-1", properties=MARKER)
    assert issue.fields.description == "h1. Wiki"
    assert issue.fields.assignee.name == "admin"
    assert issue.raw["properties"] == {MARKER: {"id": "w1"}}
    client.add_comment("SUP-1", "plain")
    assert client.comments("SUP-1", expand="properties")[0].body == "plain"
    assert [i.key for i in client.search_issues("key = SUP-2")] == ["SUP-2"]
    client.close()


def test_data_center_lacks_what_only_cloud_has(data_center: Sandbox) -> None:
    basic = ("placet", "jira-sandbox-token")
    for method, path in [
        ("GET", "3/issue/SUP-1"),
        ("PUT", "2/issue/properties/placet.fence"),
        ("GET", "2/search/jql?jql=key=SUP-1"),
        ("GET", "2/issue/SUP-1/changelog"),
    ]:
        url = f"{data_center.url}/rest/api/{path}"
        assert requests.request(method, url, auth=basic, json={}, timeout=5).status_code == 404


def test_cloud_has_removed_the_classic_search(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/rest/api/2/search?jql=key=SUP-1"
    assert requests.get(url, auth=PLACET, timeout=5).status_code == 410


def test_data_center_locks_out_by_captcha(data_center: Sandbox) -> None:
    answer = requests.get(f"{data_center.url}/rest/api/2/myself", auth=("locked", "x"), timeout=5)
    assert answer.status_code == 403
    assert "CAPTCHA" in answer.headers["X-Authentication-Denied-Reason"]


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "null",
        '{"fields": "x"}',
        '{"fields": {"customfield_10052": NaN}}',
        '{"fields": {"summary": "\\ud800"}}',
        '{"update": {"labels": "x"}}',
        '{"update": {"labels": [{}]}}',
        '{"update": {"labels": [{"explode": 1}]}}',
        '{"update": {"comment": "x"}}',
        '{"update": {"comment": [{"remove": {}}]}}',
        '{"properties": "x"}',
        '{"properties": [{"key": 1, "value": 1}]}',
        '{"properties": [{"key": "k"}]}',
        '{"fields": {"labels": ["a"]}, "update": {"labels": [{"add": "b"}]}}',
        '{"surprise": 1}',
    ],
)
def test_a_body_of_the_wrong_shape_is_400_and_no_crash(
    sandbox: Sandbox, jira: JIRA, body: str
) -> None:
    url = jira._get_url("issue/SUP-2")
    assert refused(lambda: jira._session.put(url, data=body)).status_code == 400
    assert sandbox.effects() == []


@pytest.mark.parametrize(
    "criteria",
    [
        {"entityIds": "x"},
        {"entityIds": ["x"]},
        {"what": 1},
        {"currentValue": 1, "hasProperty": False},
    ],
)
def test_a_conditional_write_with_an_odd_filter_is_refused(
    sandbox: Sandbox, jira: JIRA, criteria: dict[str, Any]
) -> None:
    body = {"value": 1, "filter": criteria}
    error = refused(lambda: put(jira, "issue/properties/placet.fence", body))
    assert error.status_code == 400
    assert jira.issue("SUP-1").key == "SUP-1"


def test_update_verbs_add_and_remove_labels_and_add_a_comment(jira: JIRA) -> None:
    update = {
        "labels": [{"add": "new"}, {"remove": "support"}],
        "comment": [{"add": {"body": document("Along with it.")}}],
    }
    assert put(jira, "issue/SUP-7", {"update": update}).status_code == 204
    assert jira.issue("SUP-7").fields.labels == ["new"]
    assert len(jira.comments("SUP-7")) == 1


DANA = ("dana@example.test", "jira-dana-token")
PLACE = {"project": {"key": "SUP"}, "issuetype": {"name": "Task"}}


def test_somebody_opens_an_issue_and_placet_edits_it(sandbox: Sandbox, jira: JIRA) -> None:
    dana = connect(sandbox, DANA)
    fields = PLACE | {"summary": "Parcel lost", "description": document("Since Monday.")}
    issue = dana.create_issue(fields)
    assert (issue.key, issue.fields.reporter.accountId) == ("SUP-13", dana.myself()["accountId"])
    dana.close()

    answer = put(jira, "issue/SUP-13", {"fields": {"summary": "Parcel found"}})
    assert answer.status_code == 204
    assert jira.issue("SUP-13").fields.summary == "Parcel found"
    made, edited = sandbox.effects("SUP-13")
    assert (made["operation"], made["actor"]) == ("create", "Dana Kowalski")
    assert edited["fields"]["summary"] == {"before": "Parcel lost", "after": "Parcel found"}


def test_a_number_is_given_once(sandbox: Sandbox) -> None:
    dana = connect(sandbox, DANA)
    first = dana.create_issue(PLACE | {"summary": "One"})
    sandbox.post("edit", record=first.key, delete=True)
    assert dana.create_issue(PLACE | {"summary": "Two"}).key == "SUP-14"
    dana.close()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"project": {"key": "OPS"}}, "project"),
        ({"issuetype": {"name": "Epic"}}, "issuetype"),
        ({"summary": ""}, "summary"),
        ({"customfield_1": "x"}, "customfield_1"),
        ({"priority": {"name": "Urgent"}}, "priority"),
    ],
)
def test_an_issue_that_lacks_something_is_not_made(
    sandbox: Sandbox, change: dict[str, Any], field: str
) -> None:
    dana = connect(sandbox, DANA)
    error = refused(lambda: dana.create_issue(PLACE | {"summary": "One"} | change))
    assert error.status_code == 400
    assert set(error.response.json()["errors"]) == {field}
    assert sandbox.effects() == []
    dana.close()


def test_placet_opens_none(jira: JIRA) -> None:
    error = refused(lambda: jira.create_issue(PLACE | {"summary": "One"}))
    assert error.status_code == 400
    assert "project" in error.response.json()["errors"]
