"""What every broker promises, and what is each one's own."""
