"""Who is connecting, and what they may do."""
