"""From results to text. No I/O: a reporter returns what its caller writes."""
