"""Draw the rooms of the code, from the import contracts in ``pyproject.toml`` and the first line of each package.

An MkDocs hook. The picture is part of the architecture page and can't differ from what ``make check`` enforces.
"""

from __future__ import annotations

import ast
import re
import tomllib
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

LAYERS_CONTRACT = "layers"
WIDTH, BOX_HEIGHT, GAP, MARGIN = 760, 68, 10, 4
# Characters of a caption line, per pixel of its box.
CHARACTERS_PER_PX = 1 / 6.4

FLOW = (
    ("scene", "cube, labels, wavelengths"),
    ("projection", "bands to channels"),
    ("tiles", "core and halo"),
    ("noise", "at timestep t"),
    ("backbone", "frozen denoiser"),
    ("planes", "one per t and layer"),
    ("store", "Zarr, on disk"),
    ("features", "sampled, interpolated"),
    ("table", "rows of pixels"),
    ("heads", "fit, predict"),
    ("report", "scores, maps"),
)
FLOW_COLUMNS = 4


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add both pictures to the site."""
    files.append(File.generated(config, "developer/rooms.svg", content=rooms_picture()))
    files.append(File.generated(config, "developer/flow.svg", content=flow_picture()))
    return files


def rooms_picture() -> str:
    """Return the SVG of the rooms: each row may import from the rows below it."""
    rows: list[list[str]] = [["cli"], *layers()]
    index = next(i for i, row in enumerate(rows) if "hsifeat.extraction" in row)
    rows[index] = [*rows[index], "classifiers"]
    parts: list[str] = []
    top = MARGIN
    for row in rows:
        width = (WIDTH - 2 * MARGIN - GAP * (len(row) - 1)) / len(row)
        for i, module in enumerate(row):
            kind = "outside" if module in {"cli", "classifiers"} else "room"
            parts.append(box(MARGIN + i * (width + GAP), top, width, module, first_line(module), kind))
        top += BOX_HEIGHT + GAP
    return svg(parts, top - GAP + MARGIN, "The rooms of hsifeat; each row may import from the rows below it")


def flow_picture() -> str:
    """Return the SVG of the way from a scene to a report."""
    width = (WIDTH - 2 * MARGIN - GAP * 2 * (FLOW_COLUMNS - 1)) / FLOW_COLUMNS
    parts = []
    rows = -(-len(FLOW) // FLOW_COLUMNS)
    for i, (name, caption) in enumerate(FLOW):
        row, column = divmod(i, FLOW_COLUMNS)
        left, top = MARGIN + column * (width + 2 * GAP), MARGIN + row * (BOX_HEIGHT + 2 * GAP)
        parts.append(box(left, top, width, name, caption, "room" if i < 7 else "outside"))
        middle = top + BOX_HEIGHT / 2
        if i + 1 < len(FLOW) and column + 1 < FLOW_COLUMNS:
            parts.append(arrow(left + width + 2, middle, left + width + 2 * GAP - 2, middle))
        elif i + 1 < len(FLOW):
            low = top + BOX_HEIGHT + GAP
            parts.append(
                f'<path class="line" d="M{left + width / 2:.0f} {top + BOX_HEIGHT} V{low} H{MARGIN + width / 2:.0f} '
                f'V{low + GAP - 2}" marker-end="url(#head)"/>'
            )
    return svg(parts, rows * (BOX_HEIGHT + 2 * GAP) - 2 * GAP + 2 * MARGIN, "From a scene to a report")


def layers() -> list[list[str]]:
    """Return the layers of the contract, the highest first, each a list of modules."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    contract = next(c for c in contracts if c["type"] == LAYERS_CONTRACT)
    return [re.split(r"\s*[|:]\s*", layer.strip("() ")) for layer in contract["layers"]]


def first_line(module: str) -> str:
    """Return the first line of a module's docstring."""
    path = Path(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].replace("``", "").replace("`", "").rstrip(".")


def box(left: float, top: float, width: float, name: str, caption: str, kind: str) -> str:
    """Return a box with a name and a caption of at most three lines."""
    title = escape(name.removeprefix("hsifeat."))
    lines = wrap(caption, int((width - 16) * CHARACTERS_PER_PX), 3)
    text = "".join(
        f'<text class="caption" x="{left + 8:.0f}" y="{top + 33 + 13 * i:.0f}">{escape(line)}</text>'
        for i, line in enumerate(lines)
    )
    return (
        f'<rect class="{kind}" x="{left:.0f}" y="{top:.0f}" width="{width:.0f}" height="{BOX_HEIGHT}" rx="6"/>'
        f'<text class="name" x="{left + 8:.0f}" y="{top + 17:.0f}">{title}</text>{text}'
    )


def wrap(text: str, characters: int, count: int) -> list[str]:
    """Wrap text into at most `count` lines; the last one ends with an ellipsis if something is left."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) <= characters or not lines[-1]:
            lines[-1] = longer
        elif len(lines) == count:
            lines[-1] = f"{lines[-1][: characters - 1]}…"
            break
        else:
            lines.append(word)
    return lines


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    """Return an arrow."""
    return f'<path class="line" d="M{x1:.0f} {y1:.0f} L{x2:.0f} {y2:.0f}" marker-end="url(#head)"/>'


def svg(parts: list[str], height: float, title: str) -> str:
    """Return an SVG document."""
    style = (
        "text{font-family:sans-serif;fill:#12312c}.name{font-size:14px;font-weight:bold}.caption{font-size:11px}"
        ".room{fill:#e0f2ef;stroke:#00796b}.outside{fill:#fff4dd;stroke:#b07a00}.line{stroke:#445;fill:none}"
    )
    head = (
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="#445"/></marker></defs>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">'
        f'<title>{escape(title)}</title><style>{style}</style>{head}<rect width="100%" height="100%" fill="#fff"/>'
        f"{''.join(parts)}</svg>"
    )
