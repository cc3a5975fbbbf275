"""Who is here, over all nodes."""
