"""Measures what a delivery costs a generated service, and what it costs elsewhere."""
