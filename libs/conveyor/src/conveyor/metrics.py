"""Every metric there is. One closed, commented list, so that a typo fails the type checker.

Base units, no ids as labels. Services add theirs here, under their heading.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

# conveyor
RECORDS: Final = Counter("placet_records_total", "Records handled and committed.", ["group"])
PARKED: Final = Counter("placet_dead_letters_total", "Records parked.", ["group", "reason"])
UNAVAILABLE: Final = Counter(
    "placet_unavailable_total", "Batches put off because something was away.", ["group"]
)
DUPLICATES: Final = Counter(
    "placet_duplicates_total", "Events recognised as seen before and skipped.", ["consumer"]
)
RELAYED: Final = Counter("placet_outbox_relayed_total", "Outbox rows acknowledged.", ["table"])
OUTBOX_AGE: Final = Gauge(
    "placet_outbox_oldest_age_seconds", "Age of the oldest due outbox row.", ["table"]
)
LEADER: Final = Gauge("placet_relay_leader", "1 where this process leads the relay.", ["table"])

# intake
DIVERGENCE_SECONDS: Final = Histogram(
    "placet_divergence_seconds",
    "Time to measure one output against its evidence.",
    buckets=(0.0001, 0.0003, 0.001, 0.003, 0.01, 0.1, 1),
)

# audit-sink
AUDIT_APPENDED: Final = Counter("placet_audit_records_total", "Records appended to the audit log.")
AUDIT_LOG_SIZE: Final = Gauge("placet_audit_log_size", "Records committed, sealed or not yet.")
AUDIT_HEAD_SIZE: Final = Gauge("placet_audit_head_size", "Records under the published checkpoint.")
AUDIT_HEAD_AGE: Final = Gauge(
    "placet_audit_head_age_seconds",
    "How long the oldest committed record has been waiting for a checkpoint; 0 when none is.",
)
AUDIT_DISAGREEMENT: Final = Gauge(
    "placet_audit_ledger_disagreement",
    "1 while publishing is frozen because log, files and ledger do not tell one history.",
)
AUDIT_ARCHIVE_SIZE: Final = Gauge(
    "placet_audit_archive_size", "Records in cold storage, read back and checked."
)
AUDIT_ARCHIVE_STOPPED: Final = Gauge(
    "placet_audit_archive_stopped", "1 while nothing is archived until an operator has looked."
)

# review-api
IDEMPOTENCY_HITS: Final = Counter(
    "placet_idempotency_hits_total", "Requests answered from the stored answer of their key."
)
REVIEW_ITEMS: Final = Counter(
    "placet_review_items_total",
    "What became of records of review-items: new, revised, superseded, duplicate, parked or held.",
    ["became"],
)

# dispatcher
FOREIGN_DECISIONS: Final = Counter(
    "placet_foreign_decisions_total", "Decisions skipped: another target's.", ["target"]
)
ATTEMPTS: Final = Counter(
    "placet_write_back_attempts_total",
    "Attempts to write, by how they ended.",
    ["target", "outcome"],
)
DECISION_TO_TARGET: Final = Histogram(
    "placet_decision_to_target_seconds",
    "From the end of a decision's hold to its effect, read back.",
    ["target"],
    buckets=(0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1, 5, 60, 900),
)
TARGET_AWAY: Final = Gauge(
    "placet_target_away", "1 while attempts wait for the target.", ["target"]
)
STUCK: Final = Gauge("placet_write_backs_stuck", "Write-backs that wait for a person.", ["target"])
TARGET_PAUSED: Final = Gauge(
    "placet_target_paused", "1 while an operator has paused the target.", ["target"]
)
