"""The version and the address of the project; the distribution takes the version from here.

Constants, since to ask the installed package for them takes 40 ms of every run.
"""

VERSION = "0.1.0"

REPOSITORY = "https://git.example/wps-run/wps-run"
"""The address of the repository, as in `[project.urls]`; `.ci/references` writes it."""

SCHEMAS = f"{REPOSITORY}/raw/main/schemas"
"""The address of the folder `schemas/`."""
