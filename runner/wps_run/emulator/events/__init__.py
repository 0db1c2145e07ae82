"""Event handlers: the web hooks that the emulator calls with the events of its clients."""
