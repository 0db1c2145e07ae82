"""Turn the data of a playbook into a checked playbook and a stream of numbered steps."""
