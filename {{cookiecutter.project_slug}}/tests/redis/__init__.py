"""What the connections to Redis promise, on servers that may be harmed."""
