"""From steps to results."""
