"""What each way to say who is connecting promises."""
