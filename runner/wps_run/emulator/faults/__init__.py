"""Faults injected on demand."""
