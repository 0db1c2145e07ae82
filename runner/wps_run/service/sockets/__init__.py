"""The WebSocket side of the local service: subprotocols, sessions and the aiohttp edge."""
