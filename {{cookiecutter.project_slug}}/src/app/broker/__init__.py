"""Carries packets between nodes."""
