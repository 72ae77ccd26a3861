"""`hsifeat cache`: list, show, verify and delete the stores on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsifeat.commands import terminal
from hsifeat.commands.service_options import Service, service_rows
from hsifeat.commands.shared_options import Json, Store
from hsifeat.formatting import format_count

if TYPE_CHECKING:
    from hsifeat.cache.usage import StoreUsage
    from hsifeat.store.location import Location

cache = typer.Typer(no_args_is_help=True, help="List, show, verify and delete the stores on this machine.")

_COLUMNS = ("store", "key", "MB", "planes", "used", "state", "path")
_SERVICE_COLUMNS = ("name", "key", "scene", "backbone", "planes", "state")


@cache.command("ls")
def list_stores(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders whose stores are listed, too, now and in later calls.")
    ] = None,
    service: Service = None,
    as_json: Json = False,
) -> None:
    """List the stores on this machine, most recently used first. With --service, list the stores of that service.

    The list contains the stores in the cache folder, the stores in FOLDERS, and all other stores that were created or
    listed on this machine.

    Example: `hsifeat cache ls`

    Stores of a service: `hsifeat cache ls --service https://gpu.example.org`
    """
    if service is not None:
        if folders:
            raise typer.BadParameter("FOLDERS are on this machine: leave them out with --service")
        terminal.show_rows(f"stores ({service})", service_rows(service), _SERVICE_COLUMNS, as_json)
        return
    from hsifeat.cache.catalogue import rebuild
    from hsifeat.cache.usage import list_usage
    from hsifeat.files import cache_folder
    from hsifeat.formatting import format_bytes

    stores = list_usage(rebuild(folders or ()))
    terminal.show_rows(f"stores ({cache_folder()})", [_row(usage) for usage in stores], _COLUMNS, as_json)
    if not as_json:
        for usage in stores:
            if usage.problem:
                terminal.say(f"unreadable: {usage.problem}")
        terminal.say(f"{format_count(len(stores), 'store')}, {format_bytes(sum(usage.size_bytes for usage in stores))}")


@cache.command("show")
def show_store(store: Store = None, as_json: Json = False) -> None:
    """Show the contents of a store: scene, label maps, planes and extraction settings.

    Example: `hsifeat cache show ip.zarr`
    """
    from hsifeat.cache.catalogue import find_store
    from hsifeat.cache.usage import store_details

    details = store_details(find_store(store))
    if as_json:
        terminal.show_json(details)
        return
    planes, timings, recipe = (details.pop(name) for name in ("planes", "timings", "recipe"))
    terminal.show_facts(details["name"], details)
    terminal.show_table("planes", planes, ("plane", "stride", "channels", "dtype", "units"))
    if timings:
        rows = [{**row, "t": "all: reading, encoding" if row["t"] is None else row["t"]} for row in timings]
        terminal.show_table("time of extraction", rows, ("t", "device", "tiles", "seconds"))
    terminal.show_facts("recipe", recipe)


@cache.command("verify")
def verify_store(
    store: Store = None,
    repair_damage: Annotated[
        bool,
        typer.Option("--repair", help="Restore damaged files or compute them again, and finish unfinished planes."),
    ] = False,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Backbone for --repair, if it has moved since extraction. [default: the backbone of the extraction]"
        ),
    ] = None,
    companion: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Companion image for --repair, if the planes were computed from one."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify all files of a store against their checksums. The exit status is 1 if a file is damaged and not repaired.

    Example: `hsifeat cache verify ip.zarr --repair`
    """
    from hsifeat.cache.catalogue import find_store
    from hsifeat.errors import StoreError, shell_command
    from hsifeat.extraction.repair import repair, verify
    from hsifeat.formatting import format_bytes

    location = find_store(store)
    with terminal.progress() as listen:
        result = verify(location, listen=listen)
        damages = [{"kind": damage.kind, "file": damage.key} for damage in result.damages]
        if repair_damage:
            result = repair(location, result, backbone=backbone, companion=companion, listen=listen)
    if as_json:
        terminal.show_json(
            {
                "store": str(location),
                "files": result.files,
                "damages": damages,
                "repaired": repair_damage,
                "unfinished": [str(plane.id) for plane in result.unfinished],
            }
        )
    else:
        if damages:
            terminal.show_table("damaged files", damages, ("kind", "file"))
        terminal.say(
            f"{location}: {format_count(result.files, 'file')}, {format_bytes(result.size_bytes)}, read and compared"
        )
        if result.unfinished:
            terminal.say(
                f"{format_count(len(result.unfinished), 'plane is', 'planes are')} unfinished: run the extract command again to finish the store"
            )
    if result.damages:
        raise StoreError(
            f"{format_count(len(result.damages), 'damaged file')}: {shell_command('cache', 'verify', location, '--repair')} restores {'it' if len(result.damages) == 1 else 'them'}"
        )
    if not as_json:
        terminal.say(f"{format_count(len(damages), 'file')} repaired" if damages else "all files are intact")


@cache.command("rm")
def remove_stores(
    stores: Annotated[list[str], typer.Argument(help="Paths or names of stores, or the first digits of their keys.")],
) -> None:
    """Delete stores. A store that a process is reading or writing is not deleted. For a link, both the store and the link are deleted.

    Example: `hsifeat cache rm ip`
    """
    from hsifeat.cache.catalogue import find_store
    from hsifeat.cache.gc import delete_remains, remove_store, store_links
    from hsifeat.files import cache_folder
    from hsifeat.formatting import format_bytes

    for folder in {cache_folder(), *(Path(store).absolute().parent for store in stores)}:
        delete_remains(folder)
    named: dict[str, list[Location]] = {}
    for location in map(find_store, stores):
        named.setdefault(location.identity, []).append(location)
    for real, locations in named.items():
        links = store_links(*locations)
        freed = format_bytes(remove_store(*locations))
        also = "".join(f" and the link {link}" for link in links)
        terminal.say(f"deleted {real if links else locations[0]}{also}: {freed}")


@cache.command("gc")
def collect_garbage(
    max_size: Annotated[str, typer.Option(metavar="SIZE", help="Maximum total size of the stores, such as 200GB.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted, and delete nothing.")] = False,
) -> None:
    """Delete the least recently used stores of the cache folder until the total size of the stores there is at most --max-size.

    Stores in use and stores outside the cache folder are not deleted.

    Example: `hsifeat cache gc --max-size 200GB`
    """
    from hsifeat.cache import gc
    from hsifeat.cache.catalogue import rebuild
    from hsifeat.errors import StoreError
    from hsifeat.formatting import format_bytes, parse_bytes

    def on_remove(usage: StoreUsage) -> None:
        verb = "would delete" if dry_run else "deleted"
        terminal.say(f"{verb} {usage.entry.path}: {format_bytes(usage.size_bytes)}")

    try:
        max_bytes = parse_bytes(max_size)
    except ValueError as error:
        raise StoreError(
            f"--max-size: expected a number and a unit, such as 200GB, 500MB or 1.5TiB; found {max_size!r}"
        ) from error
    rebuild(())
    remaining_bytes, reasons = gc.collect_garbage(max_bytes, dry_run=dry_run, on_remove=on_remove)
    for reason in reasons:
        terminal.say(f"not deleted: {reason}")
    if dry_run:
        terminal.say(f"the cache would take {format_bytes(remaining_bytes)}")
    else:
        terminal.say(f"the cache takes {format_bytes(remaining_bytes)}")


def _row(usage: StoreUsage) -> dict[str, str | float]:
    import time

    return {
        "store": usage.entry.name,
        "key": usage.entry.key[:12],
        "MB": usage.size_bytes / 1e6,
        "planes": usage.planes,
        "used": time.strftime("%Y-%m-%d %H:%M", time.localtime(usage.entry.used)),
        "state": usage.state,
        "problem": usage.problem,
        "path": usage.entry.path,
    }
