"""Many nodes are one service, and stay one while Redis and nodes do not behave."""
