"""What the service is compared with: programs of ours, each in the idiom of its library."""
