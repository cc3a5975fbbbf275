"""What a service does when peers stall, leave, flood or lie, and when it is told to end."""
