"""The page at `/` on which a service is watched, and the door to it."""
