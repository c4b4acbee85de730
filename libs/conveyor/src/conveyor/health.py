"""`/healthz`, `/readyz` and `/metrics`, for services that serve nothing else."""

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Ready = Callable[[], Mapping[str, bool]]
"""Say of each thing this process needs whether it is there. Must not block."""

_JSON = "application/json"


def answer(path: str, ready: Ready) -> tuple[int, str, bytes]:
    """Return status, content type and body for `path`."""
    if path == "/healthz":
        return 200, _JSON, b'{"status":"alive"}'
    if path == "/readyz":
        checks = dict(ready())
        return 200 if all(checks.values()) else 503, _JSON, orjson.dumps(checks)
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest()
    return 404, _JSON, b'{"code":"NOT_FOUND"}'


def serve(host: str, port: int, ready: Ready) -> ThreadingHTTPServer:
    """Serve in a daemon thread and return the server (its `server_port` is the port it got)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content_type, body = answer(self.path, ready)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - their name
            """Say nothing: probes come every second."""

    server = ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
