"""From the text of a playbook to numbered steps. Pure: text comes in, values go out."""
