"""The live state of the service: what is read of it, and how a playbook would change it."""
