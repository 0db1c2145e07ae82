"""OData filter expressions: syntax, types, and explanations of errors. Pure."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wps_run.odata.syntax import FilterError


def filter_error(text: str) -> "FilterError | None":
    """Return what is wrong in a filter, or None. Loads the parser, which few playbooks need."""
    from wps_run.odata.checker import check_filter  # noqa: PLC0415 -- the start counts
    from wps_run.odata.syntax import FilterError  # noqa: PLC0415 -- the same

    try:
        check_filter(text)
    except FilterError as error:
        return error
    return None
