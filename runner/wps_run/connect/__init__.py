"""Reach the service and authenticate."""
