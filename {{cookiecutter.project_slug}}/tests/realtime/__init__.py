"""What the engine promises, also when everything around it is late, lost or repeated."""
