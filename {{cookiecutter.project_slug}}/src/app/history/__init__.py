"""What was said: numbered per channel, kept for those who come back."""
