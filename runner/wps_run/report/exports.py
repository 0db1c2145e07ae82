"""A plan in forms that other tools carry out: a shell script of curl commands, a function's array.

Both contain what is sent, and nothing else does it in their place: rows of live groups that were
not read, and secrets of the environment, are refused instead of left out or masked.
"""

import re
from collections.abc import Sequence

from wps_run.actions.fields import Origin
from wps_run.actions.payload import compact_json
from wps_run.execution.run_info import RunInfo
from wps_run.playbook.expectations import Expectation
from wps_run.playbook.options import MissingRule, OnError
from wps_run.playbook.steps import Step, UnreadAction
from wps_run.report.plan import count_text
from wps_run.report.values import action_text
from wps_run.text import replace_invisible

_SCRIPT_START = """\
#!/bin/sh
# {heading}
#
# Written by `wps-run plan --format curl`. Runs in sh, dash, bash and zsh; needs curl 7.55 or later.
# Set these variables:
#   WPS_ENDPOINT  the endpoint of the service, such as https://NAME.webpubsub.azure.com
#   WPS_TOKEN     an access token of Entra ID for it, such as the output of
#                 az account get-access-token --resource https://webpubsub.azure.com \\
#                   --query accessToken --output tsv
#                 (A token that is signed with the access key is for the path of one request only.)
#
# The requests are sent one at a time, each once: there are no retries, no rate limit and no
# journal. The exit code is 1 if a request fails. Where `onError` is `stop`, no other is sent then.
{notes}
if [ -z "${{WPS_ENDPOINT:-}}" ] || [ -z "${{WPS_TOKEN:-}}" ]; then
  echo 'error: set WPS_ENDPOINT and WPS_TOKEN; the head of this script explains them' >&2
  exit 2
fi
case $WPS_ENDPOINT in
  https://* | http://127.0.0.1:* | http://localhost:* | 'http://[::1]:'*) ;;
  *) echo 'error: WPS_ENDPOINT must begin with https://' >&2; exit 2 ;;
esac
WPS_ENDPOINT=${{WPS_ENDPOINT%/}}
failed=0

# Usage: wps_curl EXPECTED_STATUSES CURL_ARGUMENT… URL
# The token comes from a file descriptor, so that it is not in the list of processes.
wps_curl() {{
  expected=$1
  shift
  for url do :; done
  response=$(
    curl --silent --show-error --globoff --path-as-is --write-out '|%{{http_code}}' \\
      --header 'Accept: application/json' --header 'Expect:' --header @/dev/fd/3 "$@" 3<<HEADERS
Authorization: Bearer $WPS_TOKEN
HEADERS
  ) || return 1
  code=${{response##*|}}
  case " $expected " in
    *" $code "*) return 0 ;;
  esac
  printf 'error: status %s: %s\\n%s\\n' "$code" "$url" "${{response%|*}}" >&2
  return 1
}}

(
"""

_SUBSHELL_END = '\nexit "$failed"\n) || failed=1\n'
"""The end of all actions but those of `finally`: where one stops them, only the subshell exits."""


class CurlReporter:
    """Reports a plan as a shell script."""

    def begin(self, run_info: RunInfo, columns: int | None) -> str:  # noqa: ARG002
        names = ", ".join(run_info.playbooks)
        heading = (
            f"PLAN{run_info.part_suffix}: {names}, hub {', '.join(run_info.hubs)}, "
            f"{count_text(run_info.total, 'request')}"
        )
        expectations = count_text(run_info.expectations, "expectation")
        notes = f"# Not in it: {expectations}.\n" if run_info.expectations else ""
        self._end = _SUBSHELL_END
        return _SCRIPT_START.format(heading=replace_invisible(heading), notes=notes)

    def step(self, step: Step) -> str:
        request, path = step.request, step.request.target()
        statuses, notes = _expected_statuses(step)
        label = replace_invisible(step.name or "")
        title = action_text(step.action.name, step.target, label, None)
        headers = [f"--header 'Content-Type: {request.content_type}'"] * bool(request.content_type)
        headers.append("--data-binary @-" if request.body else "--header 'Content-Length: 0'")
        on_failure = "exit 1" if step.on_error is OnError.STOP else "failed=1"
        lines = [
            f"\n# {step.index}: {title}, {replace_invisible(step.source)}",
            *notes,
            *([f"{printf_command(request.body)} |"] if request.body else ()),
            f"wps_curl '{statuses}' --max-time {_seconds(step.timeout)} \\",
            f"  --request {request.method} {' '.join(headers)} \\",
            f'  "$WPS_ENDPOINT{path}" || {on_failure}\n',
        ]
        return "\n".join(lines)

    def unread(self, action: UnreadAction) -> str:
        raise ValueError(_unread_obstacle(action))

    def begin_final(self) -> str:
        self._end = ""
        return f"{_SUBSHELL_END}\n# The actions of `finally`, also if an action above has failed:\n"

    def end(self, expectations: Sequence[Expectation]) -> str:  # noqa: ARG002 -- in the heading
        return f'{self._end}\nexit "$failed"\n'


def _expected_statuses(step: Step) -> tuple[str, list[str]]:
    """Return the statuses that are no error, and a comment on what the script does not do."""
    statuses = [*step.action.success]
    if step.on_missing.rule in {MissingRule.SKIP, MissingRule.DONE}:
        statuses.append(404)
    notes = []
    if step.on_missing.rule is MissingRule.WAIT:
        notes.append("# Not in it: `onMissing: wait`; the status 404 is an error here.")
    return " ".join(map(str, statuses)), notes


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def printf_command(body: bytes) -> str:
    """Return a command that prints exactly these bytes, for every POSIX shell.

    Text that a reader can see as it is stands in quotes; other bytes are octal escapes.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = "\0"
    if text.replace("\n", "").isprintable():
        quoted = text.replace("'", "'\\''")
        return f"printf '%s' '{quoted}'"
    return f"printf '{_NOT_LITERAL.sub(_octal, body.decode('latin-1'))}'"


_NOT_LITERAL = re.compile(r"^-|[^ -~]|['\\%]")
"""What is not itself in a quoted format of `printf`; a hyphen at its start begins an option."""


def _octal(match: re.Match[str]) -> str:
    return f"\\{ord(match[0]):03o}"


class BindingReporter:
    """Reports a plan as the JSON array that a function returns."""

    def begin(self, run_info: RunInfo, columns: int | None) -> str:  # noqa: ARG002
        self._separator = "\n"
        return "["

    def step(self, step: Step) -> str:
        values = {name: _json_value(step, name) for name in step.values}
        action = compact_json({"actionName": step.action.name, **values})
        separator, self._separator = self._separator, ",\n"
        return f"{separator}  {action}"

    def unread(self, action: UnreadAction) -> str:
        raise ValueError(_unread_obstacle(action))

    def begin_final(self) -> str:
        return ""

    def end(self, expectations: Sequence[Expectation]) -> str:  # noqa: ARG002 -- a note says so
        return "\n]\n" if self._separator != "\n" else "]\n"


def _json_value(step: Step, name: str) -> object:
    value = step.values[name]
    if not isinstance(value, bytes):
        return value
    if step.values["dataType"] != "binary":
        return value.decode()
    return {"type": "Buffer", "data": [*value]}


def _unread_obstacle(action: UnreadAction) -> str:
    groups = ", ".join(f"`{replace_invisible(group)}`" for group in action.groups)
    noun = "group" if len(action.groups) == 1 else "groups"
    return f"its rows are the connections in {noun} {groups}, which were not read; add --live"


def curl_obstacle(entry: Step | UnreadAction) -> str | None:
    """Return why a step, or an action without its rows, cannot be in a script, or None."""
    if isinstance(entry, UnreadAction):
        return _unread_obstacle(entry)
    body = entry.request.body.decode(errors="replace")
    if entry.secrets.occur_in(entry.request.target()) or entry.secrets.occur_in(body):
        return (
            "its request contains a secret of the environment, which is not written; leave it out "
            "of the playbook, or run the playbook with wps-run"
        )
    return None


def binding_obstacle(entry: Step | UnreadAction) -> str | None:
    """Return why a step, or an action without its rows, cannot be in the array, or None."""
    obstacle = curl_obstacle(entry)
    if obstacle or isinstance(entry, UnreadAction):
        return obstacle
    if entry.action.origin is Origin.REST:
        return f"`{entry.action.name}` is not an action of the Functions output binding"
    for field in entry.action.fields_of(Origin.REST):
        if field.name in entry.values:
            name = entry.action.name
            return f"the Functions output binding has no `{field.name}` on `{name}`"
    return None
