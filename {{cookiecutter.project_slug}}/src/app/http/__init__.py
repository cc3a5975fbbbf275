"""The edge: the socket, REST, health, metrics and the demo page."""
