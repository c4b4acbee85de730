"""A bundle: records, proofs and what was decided to show of their payload, in one zip file.

Owns the layout and how it is written: the same records under the same head give the same bytes.
Refuses to know where records come from; `bundle_check` reads bundles and believes nothing.

    README.txt  key.txt  checkpoint
    records/<sequence>.json            the record, byte for byte
    proofs/<sequence>.tlog-proof       why to believe it
    payload/<sequence>/<part>          a part that is shown, byte for byte
    index.json                         salts of what is shown, commitments of what is not
"""

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import orjson

from audit_sink.evidence import Parts
from audit_sink.tlog_proof import SUFFIX

FORMAT: Final = "placet-audit-bundle/1"
README_NAME: Final = "README.txt"
KEY_NAME: Final = "key.txt"
CHECKPOINT_NAME: Final = "checkpoint"
INDEX_NAME: Final = "index.json"
_MOMENT: Final = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # a zip has no time zone, and no bundle may differ by a clock
_REGULAR_FILE: Final = 0o100644 << 16
_UNIX: Final = 3

_README: Final = """\
Records of an audit log, with proofs. Nothing in this file has to be believed.

key.txt       the log's public key (C2SP vkey). Compare it with the one that the log's operator
              publishes; a bundle that brings its own key proves nothing by itself.
checkpoint    the signed head of the log that every proof here leads to (C2SP tlog-checkpoint).
records/      the sealed records, byte for byte: canonical JSON (RFC 8785).
proofs/       one C2SP .tlog-proof for each; its `extra` line is the record itself.
payload/      the texts that were decided to be shown, byte for byte.
index.json    for each record and payload part its commitment; for a shown part also its salt.

Check it with Placet:

    placet audit check THIS.zip --key "$(cat the-key-you-trust)"

or by hand:

1. SHA-256(0x00 || record) is a leaf of the tree of RFC 6962; the proof leads from it, at its index,
   to the root in the checkpoint, which the key has signed. Any tool for C2SP tlog-proof does this.
2. SHA-256(salt || bytes of the part) is the part's commitment, and
   SHA-256 of the canonical JSON object {part name: commitment in hex} over all parts of the record,
   shown or not, is the record's `payload_commitment`.
3. The part `received` of a decision holds the statement and its Ed25519 signature.

What a bundle cannot show: that it leaves out no record. Ask for the whole log for that; it holds no
text of people or models, and `placet audit verify` checks it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A record with its proof file, and its payload parts; None where they were destroyed."""

    sequence: int
    record: bytes
    proof: bytes
    parts: Parts | None


def record_name(sequence: int) -> str:
    """Return where the record is in a bundle."""
    return f"records/{sequence}.json"


def proof_name(sequence: int) -> str:
    """Return where the proof is."""
    return f"proofs/{sequence}{SUFFIX}"


def part_name(sequence: int, part: str) -> str:
    """Return where a shown part is."""
    return f"payload/{sequence}/{part}"


def write_bundle(out: Path, sealed: Iterable[Sealed], *, key: str, note: bytes) -> int:
    """Write a bundle and return how many records are in it.

    The file is complete when it has its name; until then it is `<name>.part`. Raises OSError.
    """
    unfinished = out.with_name(out.name + ".part")
    try:
        with unfinished.open("wb") as file:
            count = write_into(file, sealed, key=key, note=note)
        unfinished.rename(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def write_into(file: IO[bytes], sealed: Iterable[Sealed], *, key: str, note: bytes) -> int:
    """Write a bundle into a file that can seek, and return how many records are in it."""
    listed: list[Mapping[str, Any]] = []
    with zipfile.ZipFile(file, "w") as bundle:
        _add(bundle, README_NAME, _README.encode())
        _add(bundle, KEY_NAME, key.encode() + b"\n")
        _add(bundle, CHECKPOINT_NAME, note)
        for one in sealed:
            _add(bundle, record_name(one.sequence), one.record)
            _add(bundle, proof_name(one.sequence), one.proof)
            for name, part in sorted((one.parts or {}).items()):
                if part.data is not None:
                    _add(bundle, part_name(one.sequence, name), part.data)
            listed.append({"sequence": one.sequence, "parts": _described(one.parts)})
        index = {"format": FORMAT, "records": listed}
        _add(bundle, INDEX_NAME, orjson.dumps(index, option=orjson.OPT_SORT_KEYS))
    return len(listed)


def _described(parts: Parts | None) -> dict[str, dict[str, str]] | None:
    if parts is None:
        return None
    described: dict[str, dict[str, str]] = {}
    for name, part in parts.items():
        described[name] = {"commitment": part.commitment.hex()}
        if part.salt is not None:
            described[name]["salt"] = part.salt.hex()
    return described


def _add(bundle: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _MOMENT)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = _UNIX
    entry.external_attr = _REGULAR_FILE
    bundle.writestr(entry, data)


def chosen(parts: str | None) -> frozenset[str] | None:
    """Return the names in a list like `prompt,diff`; None, which means all, where none is given."""
    if parts is None:
        return None
    names: Sequence[str] = [name.strip() for name in parts.split(",")]
    return frozenset(name for name in names if name)
