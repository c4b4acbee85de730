"""CloudEvents 1.0 headers, Kafka binary mode. Owns how an event becomes a message."""

from contract.codec import encode
from contract.events import Event, ModelOutput
from contract.statement import timestamp_text
from conveyor.record import Message

CONTENT_TYPE = b"application/vnd.apache.avro+binary"


def cloud_event(event: Event, source: str) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of `event`, written by service `source`."""
    name = type(event).__name__
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_type", f"placet.{name}.v1".encode()),
        ("ce_source", f"/placet/{source}".encode()),
        ("ce_time", timestamp_text(event.timestamp).encode()),
        ("ce_correlationid", event.correlation_id.encode()),
        ("content-type", CONTENT_TYPE),
    ]
    if not isinstance(event, ModelOutput):
        headers.append(("ce_id", event.event_id.encode()))
        if event.causation_ids:
            headers.append(("ce_causationid", event.causation_ids[0].encode()))
    return tuple(headers)


def message_of(event: Event, *, topic: str, key: bytes, source: str) -> Message:
    """Return `event` as the message that carries it."""
    return Message(topic=topic, key=key, value=encode(event), headers=cloud_event(event, source))
