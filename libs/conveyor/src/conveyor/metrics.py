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
