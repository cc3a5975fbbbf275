"""What was acknowledged is there, once, whatever happens to processes and database."""
