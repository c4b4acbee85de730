"""Where a secret comes from, what it may look like, where it may be sent."""

import json
from pathlib import Path
from typing import Any

import pytest

from dispatcher.targets.jira_secret import checked_url, read_secret
from dispatcher.targets.target import StartRefusedError


def test_cloud_has_an_address_and_data_center_a_token_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text('{"email": "a@b.c", "token": "hidden"}')
    found = read_secret(path)
    assert (found.email, found.token) == ("a@b.c", "hidden")
    assert "hidden" not in repr(found)
    path.write_text('{"token": "hidden"}')
    assert read_secret(path).email is None


@pytest.mark.parametrize(
    "content",
    ["", "hidden", "[]", {"token": ""}, {"email": "a@b.c"}, {"token": 5},
     {"token": "hid\nden"}, {"token": "hidden", "user": "x"}, {"email": "a:b", "token": "hidden"},
     {"token": "hiddén"}],
)  # fmt: skip
def test_any_other_form_is_refused_without_repeating_it(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "secret"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(StartRefusedError) as refused:
        read_secret(path)
    assert refused.value.code == "BAD_SECRET"
    assert "hid" not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartRefusedError, match="cannot be read"):
        read_secret(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (None, "CONFIG_INCOMPLETE"),
        ("", "CONFIG_INCOMPLETE"),
        ("acme.atlassian.net", "CONFIG_INCOMPLETE"),
        ("ftp://acme.atlassian.net", "CONFIG_INCOMPLETE"),
        ("https://user@acme.atlassian.net", "CONFIG_INCOMPLETE"),
        ("https://acme.atlassian.net?x=1", "CONFIG_INCOMPLETE"),
        ("http://acme.atlassian.net", "INSECURE_URL"),
        ("http://127.0.0.1.example.test", "INSECURE_URL"),
    ],
)
def test_an_address_no_secret_may_be_sent_to_is_refused(url: str | None, code: str) -> None:
    with pytest.raises(StartRefusedError) as refused:
        checked_url("jira", url)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "url", ["https://acme.atlassian.net/", "https://intra.example.test/jira", "http://127.0.0.1:1"]
)
def test_an_encrypted_or_local_address_is_taken(url: str) -> None:
    assert checked_url("jira", url) == url.rstrip("/")
