"""A small HTTP server that publishes keys, as identity providers do."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from jose import jwk


class KeyServer:
    """Publishes the keys that it has now, and counts how often somebody asks."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        """Public keys as PEM, by their `kid`."""
        self.asked = 0
        self.url = ""

    def document(self) -> dict[str, Any]:
        """The JSON Web Key Set."""
        return {
            "keys": [
                jwk.construct(pem, "RS256").to_dict() | {"kid": kid, "use": "sig"}
                for kid, pem in self.keys.items()
            ]
        }

    @contextmanager
    def open(self) -> Iterator["KeyServer"]:
        """Answer until the end."""
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                body = json.dumps(publisher.document()).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/keys"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
