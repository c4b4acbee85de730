"""Rich text, as v3 speaks it (Atlassian Document Format) and as v2 does (wiki markup). Pure.

A text is kept as it was written and turned into the other form when somebody asks for that. The
turn is small: paragraphs, line breaks, headings, lists, code, quotes, rules, links and marks go
from document to wiki; from wiki to document only paragraphs and line breaks.
"""

import json
from typing import Any

MAX_TEXT = 32_767
BLOCKS = {
    "paragraph", "heading", "bulletList", "orderedList", "listItem", "codeBlock", "blockquote",
    "rule", "panel", "table", "tableRow", "tableHeader", "tableCell", "expand", "nestedExpand",
    "mediaGroup", "mediaSingle", "media", "taskList", "taskItem", "decisionList", "decisionItem",
}  # fmt: skip
INLINE = {"text", "hardBreak", "mention", "emoji", "inlineCard", "date", "status"}
MARKS = {
    "strong", "em", "code", "link", "strike", "underline", "subsup", "textColor", "backgroundColor",
}  # fmt: skip
WIKI_MARK = {"strong": "*", "em": "_", "strike": "-", "underline": "+"}

Document = dict[str, Any]


def is_document(value: object) -> bool:
    """Whether Jira would take it: a version 1 `doc` of known nodes, no empty text nodes."""
    return (
        isinstance(value, dict)
        and value.get("type") == "doc"
        and value.get("version") == 1
        and isinstance(value.get("content"), list)
        and set(value) <= {"type", "version", "content"}
        and all(_is_node(node) for node in value["content"])
    )


def _is_node(node: object) -> bool:
    if not isinstance(node, dict) or node.get("type") not in BLOCKS | INLINE:
        return False
    if node["type"] == "text":
        text, marks = node.get("text"), node.get("marks", [])
        known = isinstance(marks, list) and all(
            isinstance(mark, dict) and mark.get("type") in MARKS for mark in marks
        )
        return isinstance(text, str) and text != "" and known
    content = node.get("content", [])
    return isinstance(content, list) and all(_is_node(child) for child in content)


def too_long(value: object) -> bool:
    """Jira counts a document as its JSON text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return len(text) > MAX_TEXT


def to_document(value: str | Document | None) -> Document | None:
    """Blank lines part paragraphs; single line ends are hard breaks."""
    if value is None or isinstance(value, dict):
        return value
    paragraphs = value.replace("\r\n", "\n").split("\n\n")
    return {
        "version": 1,
        "type": "doc",
        "content": [{"type": "paragraph", "content": _lines(text)} for text in paragraphs],
    }


def _lines(text: str) -> list[Document]:
    nodes: list[Document] = []
    for number, line in enumerate(text.split("\n")):
        if number:
            nodes.append({"type": "hardBreak"})
        if line:
            nodes.append({"type": "text", "text": line})
    return nodes


def to_wiki(value: str | Document | None) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return "\n\n".join(_block(node, "") for node in value["content"])


def _block(node: Document, prefix: str) -> str:
    attributes, content = node.get("attrs", {}), node.get("content", [])
    match node["type"]:
        case "heading":
            return f"h{attributes.get('level', 1)}. {_inline(content)}"
        case "bulletList" | "orderedList":
            deeper = prefix + ("*" if node["type"] == "bulletList" else "#")
            return "\n".join(_item(item, deeper) for item in content)
        case "codeBlock":
            return "{code}\n" + _inline(content) + "\n{code}"
        case "blockquote":
            return "{quote}\n" + "\n\n".join(_block(n, "") for n in content) + "\n{quote}"
        case "rule":
            return "----"
        case "paragraph":
            return _inline(content)
        case _:
            return "\n\n".join(_block(n, prefix) for n in content)


def _item(item: Document, prefix: str) -> str:
    lines = []
    for node in item.get("content", []):
        nested = node["type"] in {"bulletList", "orderedList"}
        lines.append(_block(node, prefix) if nested else f"{prefix} {_block(node, prefix)}")
    return "\n".join(lines)


def _inline(nodes: list[Document]) -> str:
    return "".join(_text(node) for node in nodes)


def _text(node: Document) -> str:
    attributes = node.get("attrs", {})
    match node["type"]:
        case "text":
            text = str(node["text"])
            for mark in node.get("marks", []):
                text = _marked(text, mark)
            return text
        case "hardBreak":
            return "\n"
        case "inlineCard":
            return f"[{attributes.get('url', '')}]"
        case _:
            return str(attributes.get("text", ""))


def _marked(text: str, mark: Document) -> str:
    if mark["type"] == "link":
        return f"[{text}|{mark.get('attrs', {}).get('href', '')}]"
    if mark["type"] == "code":
        return "{{" + text + "}}"
    around = WIKI_MARK.get(mark["type"], "")
    return f"{around}{text}{around}"


def plain(value: object) -> str:
    """What a person reads of it: for the page, the changelog and the search."""
    if isinstance(value, dict) and value.get("type") == "doc":
        return to_wiki(value) or ""
    return "" if value is None else str(value)
