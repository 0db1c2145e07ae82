"""WebSocket clients: handshake, subprotocols, sessions and delivery."""
