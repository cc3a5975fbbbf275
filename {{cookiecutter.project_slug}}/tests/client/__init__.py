"""What the Python client promises, on schedules that a real server cannot be made to follow."""
