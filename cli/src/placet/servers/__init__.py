"""Real servers from packages: one Kafka broker (KRaft) and one PostgreSQL, on loopback.

Owns how each is made, started, asked whether it is ready and stopped. Refuses to know
what Placet keeps in them, and who watches over the processes (`placet.stack`).

The four names are loaded when first used: every command imports this package, and clients of
Kafka and PostgreSQL would take most of its time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from placet.servers.jars import ensure_jars
    from placet.servers.kafka import kafka_broker
    from placet.servers.postgres import postgres_server
    from placet.servers.topics import create_topics

__all__ = ["create_topics", "ensure_jars", "kafka_broker", "postgres_server"]

_MODULES: Final = {
    "create_topics": "placet.servers.topics",
    "ensure_jars": "placet.servers.jars",
    "kafka_broker": "placet.servers.kafka",
    "postgres_server": "placet.servers.postgres",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
