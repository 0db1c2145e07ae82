"""Adding an action is one row: everything else comes out of the table."""

import jsonschema

from wps_run.actions.fields import GROUP, REASON, Origin
from wps_run.actions.locks import HUB, locks_of
from wps_run.actions.python_source import render_python
from wps_run.actions.reference import render_action, render_list, render_markdown
from wps_run.actions.request import Request, build_request
from wps_run.actions.table import ACTIONS, Action, Overlap, OverlapKind, Phase, Repeat
from wps_run.playbook.schema import actions_schema, playbook_schema

FREEZE = Action(
    name="freezeGroup",
    summary="Let nobody join a group.",
    method="POST",
    path="/api/hubs/{hub}/groups/{group}/:freeze",
    fields=(GROUP, REASON),
    success=(204,),
    overlap=Overlap(Phase.USE, OverlapKind.GRANT),
    repeat=Repeat.IDEMPOTENT,
    origin=Origin.REST,
    operation="WebPubSub_FreezeGroup",
)
TABLE = {**ACTIONS, FREEZE.name: FREEZE}


def test_a_new_row_is_in_both_schemas() -> None:
    """Known by name, with its properties, and strict about them."""
    good = {"actionName": "freezeGroup", "group": "red", "reason": "late"}
    bad = {"actionName": "freezeGroup", "userId": "ada"}
    playbook = jsonschema.Draft7Validator(playbook_schema(TABLE))
    batch = jsonschema.Draft7Validator(actions_schema(TABLE))

    assert playbook.is_valid({"actions": [good]})
    assert batch.is_valid([good])
    assert not playbook.is_valid({"actions": [bad]})
    assert not batch.is_valid([bad])
    assert not jsonschema.Draft7Validator(playbook_schema()).is_valid({"actions": [good]})


def test_a_new_row_is_in_docs_and_listing() -> None:
    """With its request, its properties and an example."""
    assert "| `freezeGroup` † | Let nobody join a group. |" in render_markdown(TABLE)
    assert "freezeGroup" in render_list(TABLE)
    assert "- actionName: freezeGroup\n  group: launch\n" in render_action(FREEZE)


def test_a_new_row_has_a_class() -> None:
    """With its properties as arguments."""
    source = render_python(TABLE)

    assert "class FreezeGroup(TypedAction, frozen=True, kw_only=True):\n" in source
    assert '    action_name: ClassVar[str] = "freezeGroup"\n    group: str\n' in source
    assert '"freezeGroup": FreezeGroup,' in source


def test_a_new_row_has_its_request_and_its_place_in_the_order() -> None:
    """No code is written for it."""
    values = {"group": "a b", "reason": "late"}

    assert build_request(FREEZE, values, "chat") == Request(
        "POST", "/api/hubs/chat/groups/a%20b/:freeze", "reason=late"
    )
    assert [lock.key for lock in locks_of(FREEZE, values)] == [HUB, ("group", "a b")]
