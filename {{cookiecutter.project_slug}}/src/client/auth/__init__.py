"""How this client says who it is: one module per mode, each with a `with_token`."""
