"""What all nodes may rely on when they share a few facts."""
