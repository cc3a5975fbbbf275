"""The edge: the socket, REST, health and the demo page."""
