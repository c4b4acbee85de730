"""The steps of one write against a site whose every answer is scripted."""

import json
from typing import Any

import pytest
from tests.support.articles import change

from contract.targets import TargetConfig
from dispatcher.targets import sharepoint_list
from dispatcher.targets.sharepoint_answers import Answer, LostError
from dispatcher.targets.sharepoint_http import NoAnswerError
from dispatcher.targets.sharepoint_judgement import Prepared, item_of, values_of
from dispatcher.targets.sharepoint_list import ItemList
from dispatcher.targets.sharepoint_memory import Histories
from dispatcher.targets.sharepoint_write import Writer
from dispatcher.targets.target import StartRefusedError
from dispatcher.writeback import AlreadyApplied, Applied, Code, Outcome, Unknown, WriteBack

ROWS = [
    {"InternalName": "Title", "TypeAsString": "Text"},
    {
        "InternalName": "My_x0020_Note",
        "EntityPropertyName": "My_x0020_Note",
        "TypeAsString": "Note",
    },
    {"InternalName": "PlacetWriteBack", "TypeAsString": "Text"},
]
CONFIG = TargetConfig(
    name="articles", kind="sharepoint", dispatcher_url="http://127.0.0.1:1", url="https://x.test/s",
    secret_file="s", table="T", columns=("Title", "My_x0020_Note"),
)  # fmt: skip
BITS = {"High": "0", "Low": str(0x1 | 0x4 | 0x40)}


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(
        status=status, headers={"content-type": "application/json"} | headers, body=content
    )


def item(version: int, title: str = "old", marker: str | None = None) -> Answer:
    values = {"Id": 1, "Title": title, "My_x0020_Note": None, "PlacetWriteBack": marker}
    return answer(200, values | {"odata.etag": f'"g,{version}"'})


def history(*rows: tuple[str, str | None]) -> Answer:
    """`rows`: title and marker, newest first."""
    return answer(
        200,
        {
            "value": [
                {
                    "VersionId": 512 * (len(rows) - place),
                    "Title": title,
                    "My_x005f_x0020_x005f_Note": "note",
                    "PlacetWriteBack": marker,
                }
                for place, (title, marker) in enumerate(rows)
            ]
        },
    )


class Script:
    """A client whose answers were written beforehand: (method, answer or error), in order."""

    def __init__(self, *steps: tuple[str, Answer | Exception]) -> None:
        self._steps = list(steps)

    def _next(self, method: str) -> Answer:
        expected, result = self._steps.pop(0)
        assert method == expected
        if isinstance(result, Exception):
            raise result
        return result

    def item(self, number: int, names: tuple[str, ...]) -> Answer:
        return self._next("item")

    def versions(self, number: int, names: tuple[str, ...] = ()) -> Answer:
        return self._next("versions")

    def merge(self, number: int, etag: str, body: bytes) -> Answer:
        return self._next("merge")

    def list_settings(self) -> Answer:
        return self._next("list")

    def web_rights(self) -> Answer:
        return self._next("web")

    def fields(self) -> Answer:
        return self._next("fields")

    def done(self) -> bool:
        return not self._steps


def start(rows: list[dict[str, Any]] | None = None, **settings: Any) -> ItemList:
    listed = {"EnableVersioning": True, "EffectiveBasePermissions": BITS} | settings
    script = Script(
        ("web", answer(200, {"EffectiveBasePermissions": BITS})),
        ("list", answer(200, listed)),
        ("fields", answer(200, {"value": ROWS if rows is None else rows})),
    )
    return sharepoint_list.inspect(script, CONFIG)  # type: ignore[arg-type]


KNOWN = start()


def writer(*steps: tuple[str, Answer | Exception]) -> Writer:
    script: Any = Script(*steps)
    return Writer(client=script, known=KNOWN, histories=Histories())


def prepared(one: WriteBack) -> Prepared:
    read = item_of(item(1), KNOWN)
    assert read is not None
    found = writer().prepare(one, values_of(KNOWN, one), read)
    assert isinstance(found, Prepared)
    return found


def send(one: WriteBack, *steps: tuple[str, Answer | Exception]) -> Outcome:
    scripted: Any = writer(*steps)
    outcome: Outcome = scripted.send(prepared(one))
    assert scripted.client.done()
    return outcome


def test_what_the_site_made_of_a_value_is_told() -> None:
    one = change("1", Title=("New", "old"))
    written = answer(204, etag='"g,2"')
    outcome = send(one, ("merge", written), ("item", item(2, "New!", one.write_back_id)))
    assert isinstance(outcome, Applied)
    assert outcome.differs == ("Title",)
    assert outcome.after == {"Title": '"New!"'}


def test_a_workflow_that_writes_after_us_does_not_hide_what_ours_became() -> None:
    one = change("1", Title=("New", "old"))
    key = one.write_back_id
    versions = history(("By a flow", key), ("New?", key), ("old", None))
    outcome = send(
        one,
        ("merge", answer(204, etag='"g,2"')),
        ("item", item(3, "By a flow", key)),
        ("versions", versions),
        ("versions", versions),
    )
    assert isinstance(outcome, Applied)
    assert outcome.after == {"Title": '"New?"'}
    assert outcome.differs == ("Title",)


def test_a_204_without_an_etag_is_read_back_by_its_marker() -> None:
    one = change("1", Title=("New", "old"))
    key = one.write_back_id
    versions = history(("New", key), ("old", None))
    outcome = send(
        one,
        ("merge", answer(204)),
        ("item", item(2, "New", key)),
        ("versions", versions),
        ("versions", versions),
    )
    assert isinstance(outcome, Applied)
    assert outcome.differs == ()


@pytest.mark.parametrize(
    "lie",
    [
        answer(200, {"odata.error": {"code": "-1, X"}}),
        answer(200, b'{"half": '),
        answer(201),
        answer(302),
    ],
)
def test_an_answer_that_is_no_204_is_never_taken_for_success(lie: Answer) -> None:
    one = change("1", Title=("New", "old"))
    outcome = send(one, ("merge", lie), ("item", item(1)))
    assert isinstance(outcome, Unknown)
    assert outcome.code is Code.COMMIT_ANSWER_LOST


def test_a_lost_answer_and_a_lost_look_are_unknown() -> None:
    one = change("1", Title=("New", "old"))
    lost = NoAnswerError(Code.TIMEOUT, "no answer in time", sent=True)
    away = LostError(lost.unavailable)
    outcome = send(one, ("merge", lost), ("item", away))
    assert isinstance(outcome, Unknown)
    assert outcome.code is Code.TIMEOUT


def test_a_write_that_never_left_is_no_unknown() -> None:
    one = change("1", Title=("New", "old"))
    outcome = send(one, ("merge", NoAnswerError(Code.TARGET_AWAY, "no connection", sent=False)))
    assert not isinstance(outcome, Unknown)
    assert getattr(outcome, "code", None) is Code.TARGET_AWAY


def test_the_oldest_version_with_the_key_is_the_write_and_the_one_before_is_the_image() -> None:
    one = change("1", Title=("New", "old"), My_x0020_Note=("note", "before"))
    key = one.write_back_id
    versions = history(
        ("restored", key), ("other", "another key"), ("edited", key), ("New", key), ("old", "k0")
    )
    read = item_of(item(5, "restored", key), KNOWN)
    assert read is not None
    found = writer(("versions", versions), ("versions", versions)).found(one, read)
    assert isinstance(found, AlreadyApplied)
    assert found.before == {"Title": '"old"', "My_x0020_Note": '"note"'}
    assert found.version is None
    assert found.differs == ()


def test_a_key_in_the_item_is_believed_though_the_history_does_not_answer() -> None:
    one = change("1", Title=("New", "old"))
    read = item_of(item(2, "New", one.write_back_id), KNOWN)
    assert read is not None
    found = writer(("versions", answer(500))).found(one, read)
    assert found == AlreadyApplied(version=None, before=None)


def test_without_the_history_another_key_is_no_answer() -> None:
    one = change("1", Title=("New", "old"))
    read = item_of(item(2, "New", "another key"), KNOWN)
    assert read is not None
    for strange in (answer(500), answer(200, {"value": []}), answer(200, b"{"), answer(200, [])):
        with pytest.raises(LostError):
            writer(("versions", strange)).found(one, read)


@pytest.mark.parametrize(
    "strange",
    [
        answer(200, {"Id": 1, "Title": "x"}),
        answer(200, {"Id": 1, "Title": "x", "My_x0020_Note": "", "PlacetWriteBack": ""}),
        answer(200, {"Title": "x", "My_x0020_Note": "", "PlacetWriteBack": ""}, etag='"1"'),
        answer(200, {"Id": 1, "Title": "x", "My_x0020_Note": "", "PlacetWriteBack": "",
                     "odata.etag": "*"}),
        answer(200, [1]),
        answer(200, b'{"Id": 1'),
        answer(206, {"Id": 1}),
    ],
)  # fmt: skip
def test_what_is_not_all_of_an_item_is_none(strange: Answer) -> None:
    assert item_of(strange, KNOWN) is None


@pytest.mark.parametrize(
    ("settings", "rows", "code"),
    [
        ({"EnableVersioning": False}, None, "NO_VERSIONS"),
        ({"EffectiveBasePermissions": {"High": "0", "Low": "5"}}, None, "MISSING_RIGHTS"),
        ({"EffectiveBasePermissions": None}, None, "MISSING_RIGHTS"),
        ({"EffectiveBasePermissions": {"Low": str(0x45 | 0x800)}}, None, "TOO_BROAD_RIGHTS"),
        ({}, ROWS[:2], "NO_MARKER_COLUMN"),
        ({}, [*ROWS[:2], {**ROWS[2], "TypeAsString": "Note"}], "NO_MARKER_COLUMN"),
        ({}, [*ROWS[:2], {**ROWS[2], "MaxLength": 20}], "NO_MARKER_COLUMN"),
        ({}, [*ROWS[:2], {**ROWS[2], "ReadOnlyField": True}], "NO_MARKER_COLUMN"),
        ({}, ROWS[1:], "COLUMN_NOT_FOUND"),
        ({}, [ROWS[0], {**ROWS[1], "RichText": True}, ROWS[2]], "COLUMN_NOT_WRITABLE"),
    ],
)
def test_what_must_not_be_worked_with_is_refused_at_the_start(
    settings: dict[str, Any], rows: list[dict[str, Any]] | None, code: str
) -> None:
    with pytest.raises(StartRefusedError) as refused:
        start(rows, **settings)
    assert refused.value.code == code


def test_a_history_is_asked_for_once_while_nobody_else_writes() -> None:
    histories = Histories()
    histories.saw("1", "e1", frozenset({"k1"}))
    assert histories.lacks("1", "e1", "k2")
    assert not histories.lacks("1", "e1", "k1")
    histories.wrote("1", "k2", before="e1", after="e2")
    assert histories.lacks("1", "e2", "k3")
    assert not histories.lacks("1", "e2", "k1")
    assert not histories.lacks("1", "e2", "k2")


def test_a_history_is_unknown_after_somebody_elses_write_and_for_other_items() -> None:
    histories = Histories()
    histories.saw("1", "e1", frozenset())
    assert not histories.lacks("1", "e2", "k")
    assert not histories.lacks("2", "e1", "k")
    histories.wrote("1", "k", before="e2", after="e3")
    assert not histories.lacks("1", "e3", "other")


def test_histories_are_remembered_of_a_bounded_number_of_items_and_keys() -> None:
    histories = Histories()
    for number in range(2_001):
        histories.saw(str(number), "e", frozenset())
    assert not histories.lacks("0", "e", "k")
    assert histories.lacks("1", "e", "k")
    histories.saw("1", "e2", frozenset(map(str, range(501))))
    assert not histories.lacks("1", "e2", "k")
