"""What is a crash point: the table. Owns which calls count and in which modules; finds nothing."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final


@dataclass(frozen=True, slots=True)
class Rule:
    """Calls whose callee, as it is written, looks like `callee` (`*` is anything)."""

    callee: str
    what: str

    def finds(self, callee: str) -> bool:
        """Tell whether a call of this is a crash point."""
        return fnmatchcase(callee, self.callee)


RULES: Final = (
    # Kafka
    Rule("*._client.produce", "a record is handed to the client library"),
    Rule("*._client.flush", "records are sent, and acknowledged"),
    Rule("*.send_all", "all of these are on Kafka"),
    Rule("self._parking.send", "dead letters are on Kafka"),
    Rule("*._client.poll", "a record is received"),
    Rule("*._client.consume", "records are received"),
    Rule("*._client.commit", "offsets are durable"),
    # PostgreSQL. What is entered by `with` counts where it is left.
    Rule("*.transaction", "COMMIT"),
    Rule("*.pipeline", "statements are sent together, and answered"),
    Rule("*.copy", "rows are sent"),
    Rule("*.execute", "a statement"),
    Rule("*.executemany", "a statement, many times"),
    Rule("*.run", "a named statement of the ledger's, or a transaction of them"),
    Rule("*._store.one", "a transaction of one statement"),
    Rule("self._read", "what decisions rest on, for many at once"),
    Rule("self._write", "decisions, many in one transaction"),
    Rule("self._ask", "the statement that many share"),
    # HTTP: the desk asks a dispatcher, a dispatcher its target
    Rule("self._[cs]*.get", "a request and its answer"),
    Rule("client.get", "a request that reads"),
    Rule("client.write", "a request that writes"),
    Rule("*.client.merge", "a request that writes"),
    Rule("*.client.item", "a request that reads"),
    Rule("*.client.versions", "a request that reads"),
    Rule("*.client.list_settings", "a request that reads"),
    Rule("client.web_rights", "a request that reads"),
    Rule("client.list_settings", "a request that reads"),
    Rule("client.fields", "a request that reads"),
    Rule("requests.Session.request", "any request to Jira"),
    Rule("*.execute_request_direct", "any request to SharePoint"),
    Rule("*session.post", "a token is asked for"),
    # From thread to thread inside a dispatcher
    Rule("*._hands.give", "a step is given to a hand"),
    Rule("*._came.put", "a hand brings what came of it"),
    Rule("*._came.get", "what came of it is taken in"),
)

_TARGETS: Final = (
    *("sql", "sql_session", "catalogue"),
    *("jira", "jira_client", "jira_comment_step", "jira_comments", "jira_edit", "jira_fence"),
    *("jira_issue", "jira_site"),
    *("sharepoint", "sharepoint_client", "sharepoint_list", "sharepoint_token", "sharepoint_write"),
)
MODULES: Final = (
    *(f"conveyor.{name}" for name in ("relay", "producer", "consumer", "outbox", "inbox")),
    *("conveyor.parking", "review_api.together", "review_api.store", "review_api.hint"),
    *(f"review_api.commands.{name}" for name in ("decide", "take_back")),
    *(f"review_api.{name}" for name in ("snapshots", "ingest", "outcomes")),
    *(f"dispatcher.{name}" for name in ("consume", "operate", "work", "flights")),
    *(f"dispatcher.{name}" for name in ("ledger", "ledger_intents", "ledger_controls")),
    *(f"dispatcher.targets.{name}" for name in _TARGETS),
)
"""Where a decision passes: API, relay, dispatcher, outcome consumer, and what they stand on."""
