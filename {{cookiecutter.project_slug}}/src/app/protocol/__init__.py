"""The wire as pure data: commands, events, their encoding, errors and close codes; no I/O."""
