"""`python -m wps_run` is `wps-run`."""

import sys

from wps_run.cli.main import entry

if __name__ == "__main__":
    sys.exit(entry())
