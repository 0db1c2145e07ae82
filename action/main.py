"""Run one command of wps-run for `action.yml`, and comment its plan on the pull request.

Reads the inputs from `INPUT_…`, and what GitHub sets: `GITHUB_EVENT_PATH`, `GITHUB_API_URL`,
`GITHUB_REPOSITORY`, `GITHUB_OUTPUT`. Exits with the code of wps-run.
"""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COMMANDS = {"validate": ("validate", "--format", "github"), "plan": ("plan",), "run": ("run",)}
MARK = "<!-- wps-run plan -->"
"""Begins the comment, so that the next plan replaces it."""
LONGEST = 60_000
"""GitHub accepts 65,536 characters in a comment."""
TIMEOUT = 30
"""Of one request, in seconds."""
MOST_PAGES = 100
"""So many pages of 100 comments are searched."""


def main() -> int:
    """Run the command; return its exit code."""
    command = os.environ["INPUT_COMMAND"]
    if command not in COMMANDS:
        print(f"::error title=wps-run::`command` is {', '.join(COMMANDS)}, not {command!r}")
        return ended(2)
    arguments = [*COMMANDS[command], *lines("ARGUMENTS"), "--", *lines("PLAYBOOKS")]
    run = [sys.executable, "-m", "wps_run", *arguments]
    output = subprocess.PIPE if command == "plan" else None
    process = subprocess.run(run, stdout=output, text=True, encoding="utf-8", check=False)
    if command == "plan":
        print(process.stdout, end="", flush=True)
        if process.returncode == 0:
            comment(process.stdout)
    return ended(process.returncode)


def ended(code: int) -> int:
    """Write the output of the action, and return the exit code."""
    if file := os.environ.get("GITHUB_OUTPUT"):
        with Path(file).open("a", encoding="utf-8") as outputs:
            outputs.write(f"exit-code={code}\n")
    return code


def lines(name: str) -> list[str]:
    """Return the lines of an input that are not blank."""
    return [line.strip() for line in os.environ[f"INPUT_{name}"].splitlines() if line.strip()]


def comment(plan: str) -> None:
    """Write or replace the comment on the pull request of this event, if there is one.

    A comment that cannot be written is a warning: the plan is in the log.
    """
    event = os.environ.get("GITHUB_EVENT_PATH")
    number = json.loads(Path(event).read_text("utf-8")).get("number") if event else None
    if not (number and os.environ.get("INPUT_TOKEN")):
        return
    comments = f"/repos/{os.environ['GITHUB_REPOSITORY']}/issues/{number}/comments"
    try:
        earlier = next((each for each in pages(comments) if is_ours(each)), None)
        if earlier:
            path = f"/repos/{os.environ['GITHUB_REPOSITORY']}/issues/comments/{earlier['id']}"
            request("PATCH", path, {"body": body(plan)})
        else:
            request("POST", comments, {"body": body(plan)})
    except (OSError, ValueError) as error:
        reason = str(error).replace("\n", " ")
        print(f"::warning title=wps-run::the plan is not in a comment: {reason}")


def is_ours(earlier: dict[str, Any]) -> bool:
    """Return whether a comment is an earlier plan; one of a person is never replaced."""
    return str(earlier["body"]).startswith(MARK) and earlier["user"]["type"] == "Bot"


def body(plan: str) -> str:
    """Return the comment: the plan as a block of code, in which nothing has a meaning."""
    shown = plan if len(plan) <= LONGEST else f"{plan[:LONGEST]}\n… the rest is in the log\n"
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`+", shown))])
    return f"{MARK}\n### Plan of wps-run\n\n{fence}text\n{shown}{fence}\n"


def pages(path: str) -> Iterator[dict[str, Any]]:
    """Yield the comments, oldest first."""
    for page in range(1, MOST_PAGES + 1):
        found = request("GET", f"{path}?per_page=100&page={page}")
        yield from found
        if len(found) < 100:  # noqa: PLR2004 -- `per_page`
            return


def request(method: str, path: str, content: object = None) -> Any:  # noqa: ANN401 -- JSON
    """Send a request to GitHub's REST API; return the JSON of the response."""
    sent = urllib.request.Request(  # noqa: S310 -- the address is GitHub's
        os.environ["GITHUB_API_URL"] + path,
        None if content is None else json.dumps(content).encode(),
        {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ['INPUT_TOKEN']}",
            "Content-Type": "application/json",
        },
        method=method,
    )
    with urllib.request.urlopen(sent, timeout=TIMEOUT) as response:  # noqa: S310 -- the same
        return json.load(response)


if __name__ == "__main__":
    sys.exit(main())
