"""The problems that `validate` finds, as text."""
