"""What is counted and measured: declared once here, moved where the fact happens.

At most once per publication, never per recipient: that costs nothing, however many there are.
"""

from typing import get_args

from prometheus_client import Counter, Gauge, Histogram

from .protocol.events import LostBecause

CONNECTIONS = Counter("websocket_connections_total", "Connections that were accepted.")
ACTIVE = Gauge(
    "websocket_active_connections", "Connections that are open.", multiprocess_mode="livesum"
)
DURATION = Histogram(
    "websocket_connection_duration_seconds",
    "How long connections lasted.",
    buckets=(1, 10, 60, 300, 900, 3600, 14_400, 43_200, 86_400),
)
CLOSES = Counter(
    "websocket_closes_total", "Connections that the service ended, by its close codes.", ["code"]
)
REFUSED = Counter(
    "websocket_refused_total",
    "Connections that were refused: closed (shutting down), full, crowded (by one address).",
    ["why"],
)

_MESSAGES = Counter(
    "websocket_messages_total",
    "Received: what clients said. Sent: live messages, signals and presence, once per recipient.",
    ["direction"],
)
RECEIVED, SENT = _MESSAGES.labels("received"), _MESSAGES.labels("sent")

QUEUE_BYTES = Gauge(
    "realtime_queue_bytes", "Bytes that wait for peers to read.", multiprocess_mode="livesum"
)
DELIVERY_LAG = Histogram(
    "realtime_delivery_lag_seconds",
    "From a kept message being published here until it was written to the subscribers here; "
    "the longest of each batch.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
LOOP_LAG = Histogram("realtime_event_loop_lag_seconds", "How late a timer fires.")

_RECOVERIES = Counter(
    "realtime_recoveries_total", "Subscriptions since a position: recovered, or not.", ["outcome"]
)
RECOVERIES = {
    outcome: _RECOVERIES.labels(outcome) for outcome in ("recovered", *get_args(LostBecause))
}
LAGS = Counter(
    "realtime_lags_total", "Subscribers that were too slow, and were caught up from history."
)
REPAIRS = Counter(
    "realtime_repairs_total", "Reads of history because a channel here may lack something."
)
FAILING = Gauge(
    "realtime_failing_tasks",
    "Background tasks that failed and wait to be started again.",
    multiprocess_mode="livesum",
)
