"""The wire: every command, every refusal, every frame."""
