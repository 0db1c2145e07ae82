"""The live page at `/`."""
