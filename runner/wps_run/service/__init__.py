"""The embedded service: a Web PubSub compatible stand-in that runs in this process."""
