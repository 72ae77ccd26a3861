"""`hsifeat cache`: the stores on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsifeat.commands.shared_options import Json, Store
from hsifeat.commands.showing import show_rows

cache = typer.Typer(no_args_is_help=True, help="The stores on this machine: list, show, verify, delete.")


@cache.command("ls")
def list_cache(
    folders: Annotated[list[Path] | None, typer.Argument(help="Folders whose stores are entered as well.")] = None,
    as_json: Json = False,
) -> None:
    """List the stores that this machine knows, the last used first, with what they take on disk.

    Stores in the cache folder, and in folders given, are found even if the catalogue was lost.

    Example: `hsifeat cache ls`
    """
    from hsifeat.cache.catalogue import cache_folder, rebuild
    from hsifeat.cache.gc import holdings

    rebuild(folders or ())
    rows = [
        {
            "store": h.entry.name,
            "key": h.entry.key[:12],
            "MB": h.size_bytes / 1e6,
            "planes": h.planes,
            "used": _date(h.entry.used),
            "state": h.state,
            "place": h.entry.path,
        }
        for h in holdings()
    ]
    show_rows(f"stores ({cache_folder()})", rows, ("store", "key", "MB", "planes", "used", "state", "place"), as_json)
    if not as_json:
        from hsifeat.commands import terminal

        terminal.say(f"{len(rows)} stores, {sum(float(str(row['MB'])) for row in rows) / 1e3:.3g} GB")


@cache.command("show")
def show_store(store: Store = None, as_json: Json = False) -> None:
    """Show what a store holds: scene, planes with their units done, label maps, and the recipe.

    Example: `hsifeat cache show ip.zarr`
    """
    from hsifeat.cache.catalogue import find_store
    from hsifeat.cache.gc import facts_of
    from hsifeat.commands import terminal

    facts = facts_of(find_store(store))
    if as_json:
        terminal.show_json(facts)
        return
    rows = [{"": k, " ": v} for k, v in facts.items() if k not in {"planes", "timings", "recipe"}]
    terminal.show_table(facts["name"], rows, ("", " "))
    terminal.show_table("planes", facts["planes"], ("plane", "stride", "channels", "dtype", "units"))
    if facts["timings"]:
        rows = [{**row, "t": "all: reading, encoding" if row["t"] is None else row["t"]} for row in facts["timings"]]
        terminal.show_table("what extraction took", rows, ("t", "device", "tiles", "seconds"))
    terminal.show_table("recipe", [{"": k, " ": v} for k, v in facts["recipe"].items()], ("", " "))


@cache.command("verify")
def verify_store(
    store: Store = None,
    mend: Annotated[bool, typer.Option("--repair", help="Compute anew just what is damaged.")] = False,
    backbone: Annotated[str | None, typer.Option(help="Where the backbone lies now, for --repair.")] = None,
    companion: Annotated[str | None, typer.Option(help="The companion image, for --repair of planes of one.")] = None,
    as_json: Json = False,
) -> None:
    """Read all of a store and compare every byte with what was written. Exit status 1 if something is damaged.

    Example: `hsifeat cache verify ip.zarr --repair`
    """
    from hsifeat.cache.catalogue import find_store
    from hsifeat.commands import terminal
    from hsifeat.errors import StoreError
    from hsifeat.extraction.repair import repair, verify

    location = find_store(store)
    with terminal.progress() as listen:
        found = verify(location, listen=listen)
        damages = [{"kind": d.kind, "file": d.key} for d in found.damages]
        if found.damages and mend:
            found = repair(location, found, backbone=backbone, companion=companion, listen=listen)
    if as_json:
        unfinished = [str(plane.id) for plane in found.unfinished]
        terminal.show_json(
            {
                "store": str(location),
                "files": found.files,
                "damages": damages,
                "repaired": mend,
                "unfinished": unfinished,
            }
        )
    else:
        if damages:
            terminal.show_table("damaged", damages, ("kind", "file"))
        terminal.say(f"{location}: {found.files} files, {found.size_bytes / 1e6:.1f} MB, read and compared")
        if found.unfinished:
            terminal.say(f"{len(found.unfinished)} planes were begun and not finished: the extract command goes on")
    if found.damages:
        raise StoreError(f"{len(damages)} damaged files: hsifeat cache verify {location} --repair computes them anew")
    if not as_json:
        terminal.say("all is as it was written" if not damages else f"{len(damages)} files mended")


@cache.command("rm")
def remove_store(
    stores: Annotated[list[str], typer.Argument(help="Paths, names or key prefixes.")],
) -> None:
    """Delete stores, unless somebody uses them just now.

    Example: `hsifeat cache rm ip`
    """
    from hsifeat.cache.catalogue import find_store
    from hsifeat.cache.gc import remove
    from hsifeat.commands import terminal

    for location in [find_store(store) for store in stores]:
        terminal.say(f"deleted {location}: {remove(location) / 1e6:.1f} MB")


@cache.command("gc")
def collect_garbage(
    max_size: Annotated[str, typer.Option(help="What the cache folder may take, e.g. 200GB.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Delete the least recently used stores of the cache folder until it takes no more than this.

    A store in use is never deleted, nor one that was written to a place of your own with --out.

    Example: `hsifeat cache gc --max-size 200GB`
    """
    from hsifeat.cache.catalogue import rebuild
    from hsifeat.cache.gc import StoreUsage, collect, parse_size
    from hsifeat.commands import terminal

    def gone(holding: StoreUsage) -> None:
        verb = "would delete" if dry_run else "deleted"
        terminal.say(f"{verb} {holding.entry.path}: {holding.size_bytes / 1e6:.1f} MB")

    limit = parse_size(max_size)
    rebuild(())
    left, stayed = collect(limit, dry_run=dry_run, removed=gone)
    for reason in stayed:
        terminal.say(f"stays: {reason}")
    terminal.say(f"the cache takes {left / 1e9:.3g} GB")


def _date(seconds: float) -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
