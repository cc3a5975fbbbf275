"""What the service is for: each feature its payloads, its policy and its routes."""
