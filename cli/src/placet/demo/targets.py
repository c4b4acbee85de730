"""Writes the demonstration's `targets.toml`, with the secret files it names.

Owns which ports its targets use. They are chosen anew when somebody else has taken one, so the
files are written at every `up`.
"""

from collections.abc import Mapping

from placet import configuration
from placet.demo import support
from placet.demo.outputs import TARGET
from placet.demo.stand_ins import PROCESSES, STAND_INS, address
from placet.home import Home
from placet.keys import Keys
from placet.servers.ports import kept_ports, write_atomically

NAMES = (TARGET, *(one.target for one in STAND_INS))


def write(home: Home, superuser: str, hold: float) -> None:
    """Replace the files; `superuser` is the DSN of the server with the business database."""
    keys = Keys(home.keys)
    dsn_file = keys.dsn_file(TARGET)
    write_atomically(dsn_file, support.dsn(superuser, keys.passwords(), support.WRITER))
    ports = kept_ports(home.ports_file, [*map(_dispatcher, NAMES), *PROCESSES])
    for one in STAND_INS:
        write_atomically(keys.folder / one.secret_name(), one.secret(ports[one.process]))
    text = configuration.demo_targets(dsn_file, ports[_dispatcher(TARGET)], hold)
    write_atomically(home.targets_file, text + stand_in_targets(keys, ports, hold))


def stand_in_targets(keys: Keys, ports: Mapping[str, int], hold: float) -> str:
    """The text of the targets that stand-ins play."""
    values: dict[str, object] = {"hold": f"{hold:g}"}
    for one in STAND_INS:
        values[f"{one.system}_url"] = address(ports[one.process])
        values[f"{one.system}_secret"] = keys.folder / one.secret_name()
        values[f"{one.system}_dispatcher"] = address(ports[_dispatcher(one.target)])
    return configuration.packaged("stand_ins.toml", values)


def _dispatcher(target: str) -> str:
    """Under which name the port of a dispatcher is kept."""
    return f"dispatcher-{target}-http"
