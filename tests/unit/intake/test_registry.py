"""Confluent schema ids against a small real HTTP server."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import msgspec
import pytest
from fastavro import schemaless_writer
from tests.support.examples import EXAMPLES

from contract.codec import READER, UnknownSchemaError, decode_model_output
from conveyor.errors import UnavailableError
from intake.registry import Registry

ANSWERS: dict[str, tuple[int, bytes]] = {
    "/schemas/ids/7": (200, json.dumps({"schema": json.dumps(READER["ModelOutput"])}).encode()),
    "/schemas/ids/8": (200, json.dumps({"schema": "{}", "schemaType": "PROTOBUF"}).encode()),
    "/schemas/ids/9": (200, json.dumps({"schema": '"string"'}).encode()),
    "/schemas/ids/10": (200, json.dumps({"schema": '{"type": "record"}'}).encode()),
    "/schemas/ids/11": (200, json.dumps({"schema": "not json"}).encode()),
    "/schemas/ids/12": (200, b"{}"),
    "/schemas/ids/20": (500, b"{}"),
    "/schemas/ids/21": (200, b"<html>"),
    "/schemas/ids/22": (200, b"[]"),
}


class Handler(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, body = ANSWERS.get(self.path, (404, b'{"error_code": 40403}'))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Handler.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def confluent(number: int) -> bytes:
    out = io.BytesIO()
    out.write(b"\0" + number.to_bytes(4))
    plain = msgspec.to_builtins(EXAMPLES[0], builtin_types=(type(EXAMPLES[0].timestamp),))
    schemaless_writer(out, READER["ModelOutput"], plain)
    return out.getvalue()


def test_a_record_in_confluent_framing_is_read_and_the_schema_asked_for_once(url: str) -> None:
    registry = Registry(url)
    for _ in range(3):
        output, _plain = decode_model_output(confluent(7), registry.resolve)
        assert output == EXAMPLES[0]
    assert Handler.asked == ["/schemas/ids/7"]


@pytest.mark.parametrize("number", [8, 9, 10, 11, 12, 404])
def test_what_is_no_avro_record_is_as_good_as_absent(url: str, number: int) -> None:
    with pytest.raises(UnknownSchemaError):
        decode_model_output(confluent(number), Registry(url).resolve)


def test_an_absent_schema_is_asked_for_again_after_a_while(url: str) -> None:
    now = [0.0]
    registry = Registry(url, clock=lambda: now[0])
    for moment in (0.0, 1.0, 29.0, 31.0):
        now[0] = moment
        with pytest.raises(LookupError):
            registry.resolve(404)
    assert len(Handler.asked) == 2


@pytest.mark.parametrize("number", [20, 21, 22])
def test_a_registry_that_is_ill_is_asked_again(url: str, number: int) -> None:
    with pytest.raises(UnavailableError):
        Registry(url).resolve(number)


def test_a_registry_that_is_away_is_asked_again() -> None:
    with pytest.raises(UnavailableError):
        Registry("http://127.0.0.1:9").resolve(1)


def test_an_address_that_is_no_web_address_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="PLACET_SCHEMA_REGISTRY_URL"):
        Registry("file:///etc/passwd")
