"""`Runner`: run actions and playbooks from Python."""
