"""The load: connects to one server, publishes, checks every delivery, and reads what it cost."""
