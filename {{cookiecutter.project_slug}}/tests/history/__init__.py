"""What every history promises, and what is each one's own."""
