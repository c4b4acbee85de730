"""The demonstration's stand-ins of Jira and SharePoint: what is run, and who signs in how.

Owns their names, addresses and secrets, which are published: `placet-sandbox` prints them in its
README. Pure. Refuses to import `sandbox`: it is another program.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from placet.home import Home
from placet.servers.ports import LOOPBACK


@dataclass(frozen=True, slots=True)
class StandIn:
    """A business system of somebody else, played by `placet-sandbox`."""

    system: str
    target: str

    @property
    def process(self) -> str:
        """Its name among the processes, and that of its port."""
        return f"sandbox-{self.system}"

    def secret_name(self) -> str:
        """The file, in the keys folder, that its dispatcher signs in with."""
        return f"{self.target}.json"

    def secret(self, port: int) -> str:
        """What is in that file."""
        secret = {**_SECRETS[self.system], **_token_url(self.system, port)}
        return json.dumps(secret, indent=1) + "\n"

    def arguments(self, home: Home, port: int) -> list[str]:
        """What `placet-sandbox` is told."""
        return [self.system, "--host", LOOPBACK, "--port", str(port), "--data", str(home.sandbox)]


JIRA: Final = StandIn("jira", "jira-demo")
SHAREPOINT: Final = StandIn("sharepoint", "sharepoint-demo")
STAND_INS: Final = (JIRA, SHAREPOINT)
PROCESSES: Final = tuple(one.process for one in STAND_INS)
HEALTH: Final = "/_sandbox/health"

_SECRETS: Final[Mapping[str, Mapping[str, str]]] = {
    "jira": {"email": "placet@example.test", "token": "jira-sandbox-token"},
    "sharepoint": {
        "client_id": "0b7c2f3e-5d1a-4c55-9a0e-000000000001",
        "client_secret": "sharepoint-sandbox-secret",
    },
}


def address(port: int) -> str:
    """Where a stand-in, or a dispatcher, of this port is."""
    return f"http://{LOOPBACK}:{port}"


def of_target(name: str) -> StandIn | None:
    """The stand-in behind a target of the demonstration; None where there is none."""
    return next((one for one in STAND_INS if one.target == name), None)


def _token_url(system: str, port: int) -> Mapping[str, str]:
    if system != "sharepoint":
        return {}
    return {"token_url": f"{address(port)}/tenant/oauth2/v2.0/token"}
