"""uvicorn, configured."""

from typing import Any

from ..observability import log_config
from ..settings import Limits, ServerSettings
from .http import HttpProtocol
from .websocket import SocketProtocol


def uvicorn_options(server: ServerSettings, limits: Limits) -> dict[str, Any]:
    """What `uvicorn.run` gets; its logs go where the service's own go."""
    return {
        "app": "app.main:app",
        "host": server.host,
        "port": server.port,
        "workers": server.workers,
        "reload": server.reload,
        "reload_dirs": ["src"] if server.reload else None,
        "log_config": log_config(server),
        "access_log": False,
        "proxy_headers": False,
        "lifespan": "on",
        "timeout_graceful_shutdown": server.closing_seconds,
        "http": HttpProtocol,
        "ws": SocketProtocol,
        "ws_max_size": limits.max_message_bytes,
        # Each beat of ours brings a ping.
        "ws_ping_interval": None,
        "ws_per_message_deflate": limits.compression,
    }
