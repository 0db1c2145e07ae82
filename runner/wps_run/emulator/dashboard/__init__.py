"""The dashboard at `/`: a live page with the emulator's clients, traffic and faults."""
