"""The WebSocket side of the emulator: subprotocols, sessions and connections."""
