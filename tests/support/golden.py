"""Write the golden message and the history entry of every current schema that has none yet.

`python -m tests.support.golden` after a compatible change of a schema; never change what is there.
"""

from pathlib import Path

import msgspec
from tests.support.examples import EXAMPLES

from contract import codec

SCHEMAS = Path(__file__).parents[2] / "schemas"


def main() -> None:
    (SCHEMAS / "contract/avro/history").mkdir(exist_ok=True)
    for example in EXAMPLES:
        name = type(example).__name__
        stem = f"{name}.{codec.fingerprint_hex(name)}"
        golden = SCHEMAS / "examples" / f"{stem}.avro"
        if golden.exists():
            continue
        golden.write_bytes(codec.encode(example))
        pretty = msgspec.json.format(msgspec.json.encode(example))
        golden.with_suffix(".json").write_bytes(pretty + b"\n")
        current = SCHEMAS / "contract/avro" / f"{name}.avsc"
        (SCHEMAS / "contract/avro/history" / f"{stem}.avsc").write_bytes(current.read_bytes())


if __name__ == "__main__":
    main()
