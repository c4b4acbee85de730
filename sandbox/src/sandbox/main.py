"""`placet-sandbox jira|sharepoint`: starts one stand-in on a loopback port."""

import argparse
from pathlib import Path

from sandbox.jira.app import DEPLOYMENTS, jira
from sandbox.server import serve
from sandbox.sharepoint.app import sharepoint
from sandbox.stand_in import StandIn


def main() -> None:
    """Console script; returns on SIGTERM or SIGINT."""
    options = _parser().parse_args()
    stand_in = build(options.system, options.data, options.deployment)
    serve(stand_in.app, stand_in.title, options.host, options.port)


def build(system: str, data: Path | None, deployment: str = "cloud") -> StandIn:
    """The wired application; without `data` it forgets everything when the process ends."""
    if system == "jira":
        path = data / f"jira-{deployment}.sqlite3" if data else None
        return jira(path, deployment)
    return sharepoint(data / "sharepoint.sqlite3" if data else None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="placet-sandbox", description=__doc__)
    parser.add_argument("system", choices=["jira", "sharepoint"])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0: any that is free")
    parser.add_argument("--data", type=Path, help="folder of the SQLite file; default: memory")
    parser.add_argument("--deployment", choices=sorted(DEPLOYMENTS), default="cloud")
    return parser


if __name__ == "__main__":
    main()
if __name__ == "__main__":
    main()
