"""Rich text as Jira keeps it: Atlassian Document Format (Cloud, v3) and wiki markup (Data Center).

Pure. A document of nothing but paragraphs, line ends and unmarked text *is* a text: blank lines
part paragraphs, single line ends are hard breaks, and every text has exactly one such document. Any
other document stays a document (an object): a text would lose what a person formatted.
"""

import json
import re
from typing import Any, Final

Document = dict[str, Any]

_DOCUMENT: Final = "doc"
_VOLATILE: Final = frozenset({"localId"})
"""Attributes that Jira's editor puts in by itself."""
_WIKI: Final = re.compile(r"([\\{}\[\]!|*_+^~])|^(?=(?:h[1-6]\.|bq\.|[#-]))", re.MULTILINE)


def document_of(text: str) -> Document:
    """Return the one document that is `text`."""
    return {
        "version": 1,
        "type": _DOCUMENT,
        "content": [_paragraph(part) for part in text.split("\n\n")],
    }


def _paragraph(text: str) -> Document:
    nodes: list[Document] = []
    for number, line in enumerate(text.split("\n")):
        if number:
            nodes.append({"type": "hardBreak"})
        if line:
            nodes.append({"type": "text", "text": line})
    return {"type": "paragraph", "content": nodes}


def is_document(value: object) -> bool:
    """Tell whether `value` has a document's outside. Jira looks inside."""
    return (
        isinstance(value, dict)
        and value.get("type") == _DOCUMENT
        and value.get("version") == 1
        and isinstance(value.get("content"), list)
    )


def plain(value: Any) -> Any:
    """Return a document as the text it is, or stripped of what means nothing; others unchanged."""
    if not is_document(value):
        return value
    stripped = _stripped(value)
    paragraphs = [_line(node) for node in stripped.get("content", [])]
    if None in paragraphs:
        return stripped
    return "\n\n".join(text for text in paragraphs if text is not None)


def _line(node: Any) -> str | None:
    """Return a paragraph's text, or None where it is more than text."""
    if not isinstance(node, dict) or node.get("type") != "paragraph" or "attrs" in node:
        return None
    parts: list[str] = []
    for child in node.get("content", []):
        if child == {"type": "hardBreak"}:
            parts.append("\n")
        elif isinstance(child, dict) and set(child) == {"type", "text"} and _one_line(child):
            parts.append(str(child["text"]))
        else:
            return None
    return "".join(parts)


def _one_line(node: Document) -> bool:
    text = node["text"]
    return node["type"] == "text" and isinstance(text, str) and "\n" not in text


def _stripped(value: Any) -> Any:
    """Return the same document without empty collections and without what editors number."""
    if isinstance(value, list):
        return [_stripped(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "hardBreak":
        return {"type": "hardBreak"}
    kept = {key: _stripped(one) for key, one in value.items() if key not in _VOLATILE}
    return {key: one for key, one in kept.items() if one not in ({}, [])}


def canonical(value: Any) -> str:
    """Return a text that is equal for two rich texts exactly if Jira shows the same for both."""
    shown = plain(value)
    if isinstance(shown, str):
        text = shown.replace("\r\n", "\n")
        return "text:" + text if text else "null"
    return "document:" + json.dumps(shown, sort_keys=True, ensure_ascii=False)


def escaped(text: str) -> str:
    """Return wiki markup that shows `text` as it is: no macro, mention, link or image in it."""
    return _WIKI.sub(lambda match: "\\" + (match[1] or ""), text)
