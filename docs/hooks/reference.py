"""Generate the reference section of the documentation: the Python API, the command line and the extraction options.

An MkDocs hook. Pages of the Python API hold one mkdocstrings directive each, which reads docstrings without importing the
code. Pages of the command line are written from the Typer application itself, so they can't differ from ``--help``.
"""

from __future__ import annotations

import inspect
import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import griffe
from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

# Sections of the index of each package, by kind of object, in this order.
KINDS = {"function": "Functions", "class": "Classes", "attribute": "Constants"}

# Classes that extensions implement or return, on one page.
EXTENSION_POINTS = (
    "classifiers.heads.base.Head",
    "hsifeat.scenes.readers.raster.Raster",
    "hsifeat.backbones.protocol.Backbone",
    "hsifeat.backbones.plugins.BackbonePlugin",
    "hsifeat.extraction.noise.policy.NoisePolicy",
    "hsifeat.runtime.executor.Executor",
    "hsifeat.runtime.executor_plugins.ExecutorPlugin",
    "classifiers.splits.split_draw.Split",
)
# Option sets, by the command that takes them.
CONFIGS = {
    "hsifeat extract": ("hsifeat.extraction.config", "ExtractionConfig"),
    "hsifeat import": ("hsifeat.imports.config", "ImportConfig"),
    "hsifeat bench": ("classifiers.comparison.config", "BenchConfig"),
    "hsifeat pretrain": ("hsifeat.pretraining.config", "PretrainingConfig"),
    "hsifeat serve": ("hsifeat.service.config", "ServiceConfig"),
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the generated pages to the navigation."""
    names = public_names()
    section: list[Any] = [
        "reference/index.md",
        {"Command line": "reference/cli.md"},
        {"Options": "reference/options.md"},
        {"Presets": "reference/presets.md"},
        {"Extension points": "reference/extension-points.md"},
    ]
    section += [
        {package: [{name: f"reference/{package}/{name}.md"} for name in sorted(members, key=str.lower)]}
        for package, members in names.items()
    ]
    config.nav.append({"Reference": section})
    config.extra["public_names"] = names
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site."""
    names: dict[str, dict[str, griffe.Object]] = config.extra["public_names"]
    pages = {
        "reference/index.md": index_page(names),
        "reference/cli.md": cli_page(),
        "reference/options.md": options_page(),
        "reference/presets.md": presets_page(),
        "reference/extension-points.md": extension_points_page(),
    }
    for package, members in names.items():
        for name in members:
            options = f"    options:\n      heading: {package}.{name}\n      toc_label: {name}\n"
            pages[f"reference/{package}/{name}.md"] = f"---\ntitle: {name}\n---\n\n::: {package}.{name}\n{options}"
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def extension_points_page() -> str:
    """Return the page of the classes that extensions implement."""
    lines = [
        "# Extension points",
        "",
        "Classes that an extension implements or returns. [Extending hsifeat](../developer/extending.md) explains when.",
    ]
    for path in EXTENSION_POINTS:
        lines += ["", f"::: {path}", "    options:", "      heading_level: 2", "      members_order: source"]
    return "\n".join(lines)


def public_names() -> dict[str, dict[str, griffe.Object]]:
    """Return the objects that each package exports, by name, as griffe reads them; each object is under one package."""
    loader = griffe.GriffeLoader(docstring_parser="numpy", search_paths=["."])
    packages = {name: loader.load(name) for name in ("hsifeat", "classifiers")}
    names: dict[str, dict[str, griffe.Object]] = {}
    for package, module in packages.items():
        names[package] = {}
        for export in module.exports or ():
            name = str(export)
            if name.startswith("_"):
                continue
            member = module[name]
            target = member.final_target if member.is_alias else member
            home = target.path.partition(".")[0]
            if home == package or name not in packages[home].members:
                names[package][name] = target
    return names


def index_page(names: dict[str, dict[str, griffe.Object]]) -> str:
    """Return the page that lists everything in the reference."""
    lines = [
        "# Reference",
        "",
        "Everything that `hsifeat` and `classifiers` export, generated from the docstrings. Names that are not listed here",
        "are internal and may change without notice. See also the [command line](cli.md).",
    ]
    for package, members in names.items():
        lines += ["", f"## `{package}`", ""]
        for kind, title in KINDS.items():
            rows = [
                f"| [`{name}`]({package}/{name}.md) | {summary(member)} |"
                for name, member in sorted(members.items(), key=lambda item: item[0].lower())
                if member.kind.value == kind
            ]
            if rows:
                lines += [f"| {title} | |", "| --- | --- |", *rows, ""]
    return "\n".join(lines)


def summary(member: griffe.Object) -> str:
    """Return the first paragraph of an object's docstring on one line of a table."""
    text = member.docstring.value if member.docstring else ""
    return " ".join(text.split("\n\n")[0].split()).replace("``", "`").replace("|", "\\|")


def cli_page() -> str:
    """Return the page of the command line: every verb with its arguments and options."""
    import typer

    from hsifeat.commands.app import app

    command = typer.main.get_command(app)
    lines = ["# Command line", "", *help_lines(command), ""]
    lines += [
        "`--debug` before or after any verb shows the traceback of an error. `hsifeat --version` prints the version.",
        "",
    ]
    for path, verb in verbs("hsifeat", command):
        lines += [f"## {path}", "", *help_lines(verb), "", *parameter_lines(verb), ""]
    return "\n".join(lines)


def verbs(path: str, command: Any) -> list[tuple[str, Any]]:
    """Return all verbs below a command, as (what to type, command); a group without arguments counts as a verb too."""
    if not hasattr(command, "commands"):
        return [(path, command)]
    below = [pair for name, verb in command.commands.items() for pair in verbs(f"{path} {name}", verb)]
    return ([(path, command)] if path != "hsifeat" else []) + below


def help_lines(command: Any) -> list[str]:
    """Return a command's help as Markdown."""
    return inspect.cleandoc(command.help or "").split("\n")


def parameter_lines(command: Any) -> list[str]:
    """Return the tables of a command's arguments and options."""
    arguments, options = [], []
    for parameter in command.params:
        text = " ".join((getattr(parameter, "help", None) or "").split()).replace("|", "\\|")
        if parameter.param_type_name == "argument":
            arguments.append(f"| `{parameter.metavar or parameter.name.upper()}` | {text} |")
            continue
        names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
        default = "" if parameter.default in (None, False, ()) or parameter.required else f"`{parameter.default}`"
        if names != "`--help`":
            options.append(f"| {names} | {'required' if parameter.required else default} | {text} |")
    lines = ["| argument | |", "| --- | --- |", *arguments, ""] if arguments else []
    return lines + (["| option | default | |", "| --- | --- | --- |", *options] if options else [])


def options_page() -> str:
    """Return the page of the option sets: each field of the config classes, from which options and presets derive."""
    from hsifeat.base_config import config_table

    lines = [
        "# Options",
        "",
        "The options of an extraction, of a benchmark, of a training and of the service, under the same names in Python, in preset files and, with",
        "dashes, on the command line.",
    ]
    for title, (module, name) in CONFIGS.items():
        config = getattr(import_module(module), name)
        lines += ["", f"## {title}", "", "| name | option | values | default | |", "| --- | --- | --- | --- | --- |"]
        for row in config_table(config):
            values, help_text = (text.replace("|", "\\|") for text in (row.values, row.help))
            lines.append(f"| `{row.name}` | `{row.flag}` | {values} | {row.default} | {help_text} |")
    return "\n".join(lines)


def presets_page() -> str:
    """Return the page of the presets: what each one reproduces, how it differs from its source, and its options."""
    lines = [
        "# Presets",
        "",
        "`hsifeat extract --preset NAME` and `hsifeat pretrain --preset NAME` use these options where you give none.",
        "A file of the same form can be named in place of a preset.",
    ]
    for file in sorted(Path("hsifeat/presets").glob("*.toml")):
        text = file.read_text(encoding="utf-8")
        facts = tomllib.loads(text)
        lines += ["", f"## {file.stem}", "", f"{facts['title']}.", "", f"Source: {facts['source']}.", ""]
        lines += ["Differences from the source:", "", *(f"- {difference}" for difference in facts["differs"]), ""]
        sections = text[min(i for i in (text.find("[pretrain]"), text.find("[extract]")) if i >= 0) :]
        lines += ["```toml", sections.rstrip(), "```"]
    return "\n".join(lines)
