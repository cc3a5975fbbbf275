"""The engine: sessions, channels and the order of what is said in them; asyncio only."""
