"""A real-time service: channels over WebSockets, with history, presence and recovery."""

__version__ = "0.1.0"
