"""Draw the layers of the package from its imports, as the Mermaid picture in architecture.md.

    python docs/draw_layers.py [--check]

The modules are those of the layers in pyproject.toml, the arrows are imports. An arrow that
follows from others is left out: where `a` imports `b` and `b` imports `c`, `a` may import `c` too.
"""

import sys
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
START, END = "<!-- layers: written by docs/draw_layers.py -->\n", "<!-- end of layers -->\n"
PACKAGE = "wps_run"


def layers() -> list[str]:
    """Return the top modules of the package, those of the highest layer first."""
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = configuration["tool"]["importlinter"]["contracts"]
    (contract,) = [contract for contract in contracts if contract["type"] == "layers"]
    return [module for layer in contract["layers"] for module in layer.split(" | ")]


def imports(modules: list[str]) -> dict[str, set[str]]:
    """Return which of the package's top modules each of them imports."""
    graph = grimp.build_graph(PACKAGE)
    for module in modules:
        graph.squash_module(f"{PACKAGE}.{module}")
    return {
        module: {
            name.removeprefix(f"{PACKAGE}.")
            for name in graph.find_modules_directly_imported_by(f"{PACKAGE}.{module}")
        }
        & (set(modules) - {module})
        for module in modules
    }


def reachable(module: str, arrows: dict[str, set[str]]) -> set[str]:
    """Return all that a module imports, directly or through others."""
    return arrows[module].union(*(reachable(other, arrows) for other in arrows[module]))


def picture() -> str:
    """Return the Mermaid picture, as a fenced block."""
    arrows = imports(layers())
    lines = ["```mermaid", "flowchart TD"]
    for module, targets in arrows.items():
        implied = set().union(*(reachable(target, arrows) for target in targets))
        lines += [f"  {module} --> {target}" for target in sorted(targets - implied)]
    return "\n".join([*lines, "```", ""])


def main() -> int:
    """Write the picture into the page, or check it; return the exit code."""
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(START)
    drawn = before + START + picture() + END + rest.partition(END)[2]
    if "--check" in sys.argv and drawn != page:
        sys.stderr.write("docs/architecture.md is outdated; run python docs/draw_layers.py\n")
        return 1
    PAGE.write_text(drawn, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
