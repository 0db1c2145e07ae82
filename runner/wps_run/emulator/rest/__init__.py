"""The REST API of the emulator."""
