"""Formatting of sizes and durations, and escaping of names for terminals, figures, Markdown, CSV and HTML."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from reprlib import repr as short_repr
from threading import RLock
from typing import IO, TYPE_CHECKING, Any

from hsifeat.quiet_warnings import ignored_warnings, recorded_warnings

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

# Control characters except tab and line feed, embeddings and overrides of the text direction, lone surrogates and two code
# points that are no characters. Terminals obey them, XML forbids them, or UTF-8 can't encode them.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

# Spaces, invisible characters and quotes, then a character that starts a formula, also in its full-width form.
_FORMULA = re.compile(
    r"['\s\u00ad\u034f\u115f\u1160\u180e\u200b-\u200f\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]"
)
# Characters with a meaning in Markdown or HTML. A "<" before a space or a digit has no meaning.
_MARKDOWN = re.compile(r"[\\`*\[\]|]|<(?=[A-Za-z/!?])|&(?=#|\w+;)")
# Mark of the files that hsifeat wrote, in their metadata.
SOFTWARE = "hsifeat"
_MAX_BYTES = 2**63
_MAX_SECONDS = 1000 * 365.25 * 24 * 3600
_figure_lock = RLock()
# Start of matplotlib's warning about a letter that is drawn as a box.
_MISSING = "Glyph .* missing from"
# Families of fonts with letters of East and South Asia, by the beginnings of their names.
_FALLBACK_FONTS = (
    "Noto Sans CJK", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR", "Source Han Sans", "WenQuanYi", "Microsoft YaHei", "SimHei", "PingFang",
    "Hiragino Sans", "Yu Gothic", "MS Gothic", "IPAGothic", "Malgun Gothic", "NanumGothic", "Apple SD Gothic", "Noto Sans Devanagari",
    "Noto Sans Thai", "Nirmala UI", "Arial Unicode MS", "Droid Sans Fallback",
)  # fmt: skip
_ENTITIES = {"<": "&lt;", "&": "&amp;"}


def printable(text: str) -> str:
    r"""Replace control characters by escapes, so that names from files can be shown in a terminal and in a drawing.

    Tabs and line feeds stay.

    >>> print(printable("corn\x1b]0;title\x07"))
    corn\x1b]0;title\x07
    """
    return _CONTROLS.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


def escape_markdown(text: str) -> str:
    r"""Escape text for a paragraph or a table cell in Markdown. The result contains no markup, HTML or line breaks.

    >>> print(escape_markdown("a|b <b>c</b> *d* p < 0.05"))
    a\|b &lt;b>c&lt;/b> \*d\* p < 0.05
    """
    return _MARKDOWN.sub(_escape_character, " ".join(printable(text).split()))


def _escape_character(match: re.Match[str]) -> str:
    return _ENTITIES.get(match.group(), f"\\{match.group()}")


def escape_formula(text: str) -> str:
    """Escape a name for a CSV file if a spreadsheet would run the name as a formula.

    Spreadsheets run a cell as a formula if it starts with certain characters or their full-width forms. They skip
    spaces and invisible characters before such a character. See https://owasp.org/www-community/attacks/CSV_Injection.

    Names that look escaped are also escaped, so that different names stay different.

    >>> escape_formula("=1+1"), escape_formula("ip"), escape_formula("'=1+1")
    ("'=1+1", 'ip', "''=1+1")
    """
    text = printable(text)
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(text: str) -> str:
    """Remove the apostrophe that `escape_formula` put before a name. Other text is returned unchanged.

    >>> unescape_formula("'=1+1"), unescape_formula("'quoted'")
    ('=1+1', "'quoted'")
    """
    plain = text.removeprefix("'")
    return plain if escape_formula(plain) == text else text


@contextmanager
def literal_figure_text(**settings: Any) -> Iterator[None]:
    """Within the ``with`` block, draw names in figures of matplotlib literally.

    Dollar signs do not start a formula. Characters that are missing in the font are drawn in another font that is installed, see
    `installed_fallbacks`, or else as boxes, without a warning; see `save_png`.
    Settings of matplotlib apply to all threads. Blocks of several threads therefore run one after another.

    Parameters
    ----------
    **settings
        Further settings of matplotlib, such as ``{"font.size": 8}``.
    """
    from matplotlib import rc_context, rcParams

    with (
        _figure_lock,
        rc_context(
            {"text.parse_math": False, "font.family": [*rcParams["font.family"], *installed_fallbacks()], **settings}
        ),
        ignored_warnings(UserWarning, message=_MISSING),
    ):
        yield


@cache
def installed_fallbacks() -> tuple[str, ...]:
    """Return the installed families of fonts with letters that the font of figures lacks, such as Chinese ones."""
    from matplotlib.font_manager import fontManager

    installed = sorted({font.name for font in fontManager.ttflist})
    return tuple(name for family in _FALLBACK_FONTS for name in installed if name.startswith(family))


def save_png(figure: Figure, file: str | Path | IO[bytes], name: str, **options: Any) -> tuple[str, ...]:
    """Write a figure of matplotlib as PNG, and return a note if letters are drawn as boxes, because no font of figures has them.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Figure that was drawn in a block of `literal_figure_text`. This function is called in such a block, too.
    file : str, Path or binary file
        Where to write the figure.
    name : str
        Name of the figure in the note.
    **options
        Further options of ``savefig``. By default, the metadata say that hsifeat wrote the figure; see `is_hsifeat_png`.
    """
    with recorded_warnings(UserWarning) as messages:
        figure.savefig(file, format="png", **{"metadata": {"Software": SOFTWARE}, **options})
    boxes = [message for message in messages if re.match(_MISSING, message)]
    for message in messages:
        if message not in boxes:
            warnings.warn(message, stacklevel=2)
    if not boxes:
        return ()
    return (
        f"{name}: letters that no font of figures has are drawn as boxes; fonts such as Noto Sans CJK are used if they are installed",
    )


def is_hsifeat_png(path: Path, mark: str = SOFTWARE) -> bool:
    """Return whether a file is a PNG picture that hsifeat wrote, with this mark."""
    from PIL import Image

    with ignored_warnings(Image.DecompressionBombWarning), Image.open(path) as image:
        return bool(image.info.get("Software") == mark)


def template_environment(package: str) -> Environment:
    """Return a jinja environment for the page templates of a package.

    The environment escapes every value for HTML, shows control characters as escapes, and raises an error for undefined
    names.

    Parameters
    ----------
    package : str
        Name of a package with a folder ``templates``.

    Returns
    -------
    jinja2.Environment
        The environment, which compiles each template once.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        finalize=lambda value: value if hasattr(value, "__html__") else printable(str(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def list_some(names: Iterable[str], limit: int = 4) -> str:
    """List up to `limit` names, separated by commas. The other names are only counted.

    >>> list_some("abc"), list_some("abcdef", 2)
    ('a, b, c', 'a, b and 4 more')
    """
    shown = list(names)
    more = len(shown) - limit
    return ", ".join(shown) if more <= 0 else f"{', '.join(shown[:limit])} and {more} more"


def format_value(value: object) -> str:
    """Format an invalid value for an error message, in one line of bounded length.

    >>> format_value(list(range(100)))
    '[0, 1, 2, 3, 4, 5, ...]'
    """
    return " ".join(short_repr(value).split())


def format_count(count: int, singular: str, plural: str = "") -> str:
    """Format a number and its noun, in the singular or the plural.

    Parameters
    ----------
    count : int
        The number.
    singular : str
        Words that follow the number 1.
    plural : str, optional
        Words that follow all other numbers. [default: the singular with an s at its end]

    Examples
    --------
    >>> format_count(1, "band"), format_count(3, "band"), format_count(2, "band is bad", "bands are bad")
    ('1 band', '3 bands', '2 bands are bad')
    """
    return f"{count} {singular}" if count == 1 else f"{count} {plural or singular + 's'}"


def format_mean(count: float) -> str:
    """Format a mean number of pixels. Below 10, the text has two digits.

    >>> format_mean(1234.5), format_mean(3.0), format_mean(0.5)
    ('1,234', '3', '0.5')
    """
    return f"{count:,.0f}" if count >= 10 else f"{count:.2g}"


def format_bytes(count: float) -> str:
    """Format a size in bytes with decimal units.

    >>> format_bytes(12), format_bytes(1_234_567), format_bytes(5_000_000_000)
    ('12 Bytes', '1.2 MB', '5.0 GB')
    """
    from humanize import naturalsize

    return naturalsize(count)


def parse_bytes(text: str) -> int:
    """Convert a size such as ``200GB``, ``500 MB`` or ``1.5TiB`` to a number of bytes. All sizes but 0 need a unit.

    Raises
    ------
    ValueError
        If the text is not a number with a unit of bytes. If the number of bytes exceeds 2**63.

    >>> parse_bytes("200GB"), parse_bytes("1.5 kiB")
    (200000000000, 1536)
    """
    from dask.utils import parse_bytes as dask_parse_bytes

    # dask would read "GB" as one gigabyte, an empty text as one byte, and a number without a unit as bytes.
    if re.fullmatch(r"\s*0\s*", text):
        return 0
    if re.fullmatch(r"\s*[0-9]{1,18}(\.[0-9]+)?\s*[a-z]+\s*", text, re.IGNORECASE | re.ASCII) is None:
        raise ValueError(f"a size is a number and a unit; found {text!r}")
    size = int(dask_parse_bytes(text))
    if size > _MAX_BYTES:
        raise ValueError(f"a size is at most 8 EiB; found {text!r}")
    return size


def format_duration(seconds: float) -> str:
    """Format a duration in seconds as text with one or two units.

    >>> format_duration(12.34), format_duration(200), format_duration(50_000)
    ('12.3 seconds', '3 minutes and 20 seconds', '13 hours and 53 minutes')
    """
    from humanize import precisedelta

    if not seconds < _MAX_SECONDS:
        return "more than 1,000 years"
    if seconds < 60:
        return precisedelta(seconds, format="%0.1f")
    return precisedelta(seconds, minimum_unit="seconds" if seconds < 3600 else "minutes", format="%0.0f")


def format_seconds(seconds: float) -> str:
    """Format seconds for a table, with about three significant digits.

    >>> format_seconds(0.1234), format_seconds(12.34), format_seconds(1234.5)
    ('0.12', '12.3', '1,234')
    """
    return f"{seconds:,.{2 if seconds < 10 else 1 if seconds < 100 else 0}f}"
