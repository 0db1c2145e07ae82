"""A Web PubSub compatible emulator that runs in this process."""
