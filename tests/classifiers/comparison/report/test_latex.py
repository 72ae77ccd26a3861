"""Tables for papers, texts and notebooks: their numbers against pandas, LaTeX against a parser of it and against LaTeX itself."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess

import pytest

from classifiers.comparison.report.latex import to_latex
from classifiers.comparison.report.markdown import to_markdown
from classifiers.comparison.results.summary_frame import to_html
from tests.helpers.comparisons import SPLITS, Page, add_all, add_changes, build, entry

SHOWN = [SPLITS[1], SPLITS[0]]  # the split that tells comes first
NASTY = r"[a_b|50%&#$^~\x{y}<z>"


def expected(comparison, splits=SHOWN):
    """Rows of the table as pandas makes them from the runs: head, input, store, and the scores under each split."""
    frame = comparison.frame
    keys, scores = ["head", "inputs", "store"], ["oa", "aa", "kappa"]
    grouped = frame.groupby([*keys, "split"])[scores].agg(["mean", "std"])
    ranked = frame[frame.split == splits[0]].groupby(keys).oa.mean().sort_values(ascending=False)
    rows = []
    for names in ranked.index:
        row = list(names)
        for split, score in itertools.product(splits, scores):
            mean, sd = grouped.loc[(*names, split), score]
            row.append(f"{mean:.3f} ± {sd:.3f}" if score == "kappa" else f"{100 * mean:.1f} ± {100 * sd:.1f}")
        rows.append(row)
    return rows


def read_latex(text):
    """Rows of each tabular as lists of cells, a cell over several columns as often as it is wide; bold cells with stars."""
    tables = []
    for body in re.findall(r"\\begin{tabular}.*?\n(.*?)\\end{tabular}", text, re.DOTALL):
        lines = [line.removesuffix(r" \\") for line in body.splitlines() if line.endswith(r"\\")]
        rows = []
        for line in lines:
            cells = []
            for cell in re.split(r"(?<!\\)&", line):
                wide = re.fullmatch(r"\\multicolumn{(\d+)}{c}{(.*)}", cell.strip())
                cells += [wide[2]] * int(wide[1]) if wide else [cell.strip()]
            rows.append([re.sub(r"\\textbf{(.*)}", r"**\1**", cell).replace(r"$\pm$", " ± ") for cell in cells])
        tables.append(rows)
    return tables


def read_markdown(text):
    lines = list(itertools.takewhile(lambda line: line.startswith("|"), text.splitlines()))
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def numbers(rows, *, without=()):
    return [[cell.strip("*") for at, cell in enumerate(row) if at not in without] for row in rows]


def test_numbers_are_those_of_the_runs_ranked_by_the_split_that_tells():
    comparison = build(seeds=3)[0]
    rows = [[head, given, *scores] for head, given, _, *scores in expected(comparison)]
    (latex,) = read_latex(to_latex(comparison))
    assert numbers(latex[4:]) == rows
    assert numbers(read_markdown(to_markdown(comparison))[2:]) == rows
    assert numbers([[cell[0] for cell in row] for row in Page(to_html(comparison)).tables[0][2:]]) == rows
    columns = list(zip(*latex[4:], strict=True))[2:]
    for column in columns:
        best = max(column, key=lambda cell: float(cell.strip("*").split()[0]))
        assert [cell for cell in column if cell.startswith("**")] == [best]
    assert "Planes are those of scene-rgb." in to_latex(comparison)


def test_every_row_has_as_many_cells_below_the_name_kind_and_pixels_of_its_split():
    comparison = add_all(build()[0])
    (rows,) = read_latex(to_latex(comparison))
    assert {len(row) for row in rows} == {2 + 4 + 4}
    assert rows[0] == ["", "", *[SHOWN[0]] * 4, *[SHOWN[1]] * 4]
    assert rows[1] == [
        "",
        "",
        *[r"\emph{carry over, spatially disjoint}"] * 4,
        *[r"\emph{fill in, leaks through context}"] * 4,
    ]
    counts = []
    for split in SHOWN:
        mine = [r for r in comparison.runs if r.split == split]
        counts += [
            [f"{sum(getattr(r, kind) for r in mine) / len(mine):,.0f}" for kind in ("train_pixels", "test_pixels")]
        ]
    assert rows[2] == ["", "", *(f"{train} training, {test} test pixels" for train, test in counts for _ in range(4))]
    assert rows[3] == ["head", "input", *[r"OA, \%", "interval", r"AA, \%", r"$\kappa$"] * 2]
    assert r"\cmidrule(lr){3-6}\cmidrule(lr){7-10}" in to_latex(comparison)
    (titles, rule, *below) = read_markdown(to_markdown(comparison))
    assert {len(row) for row in (titles, rule, *below)} == {10}
    labels = [train for train, _ in counts]
    split = f"{SHOWN[0]} (carry over from {labels[0]} labels)"
    assert titles[2:4] == [f"OA, % {split}", f"95 % interval {split}"]
    assert titles[-1] == f"kappa {SHOWN[1]} (fill in from {labels[1]} labels, leaks)"


def test_intervals_stand_beside_oa():
    comparison = add_all(build()[0])
    of = {(s.entry.head, s.split): s.oa.interval for s in comparison.summary}
    for rows, dash in (
        (read_latex(to_latex(comparison))[0][4:], "--"),
        (read_markdown(to_markdown(comparison))[2:], "\N{EN DASH}"),
    ):
        for row in rows:
            for split, cell in zip(SHOWN, (row[3], row[7]), strict=True):
                assert cell == dash.join(f"{100 * end:.1f}" for end in of[row[0], split])


def test_what_must_be_known_is_seen_in_print():
    comparison = add_all(build()[0])
    latex, markdown, html = to_latex(comparison), to_markdown(comparison), to_html(comparison)
    seen = "\n".join(line for line in latex.splitlines() if not line.startswith("%"))
    for text in (seen, markdown, html):
        assert all(comparison.verdicts[split] in text for split in SPLITS)
        assert f"{SPLITS[0]} leaks through context" in text and f"{SPLITS[1]} leaks" not in text
        assert "classes left out of the averages: none" in text
    labelled = (comparison.images.truth > 0).sum()
    train = [r.train_pixels for r in comparison.runs if r.split == SPLITS[0]]
    assert f"{100 * sum(train) / len(train) / labelled:.1f} % of the labelled pixels" in markdown


def test_several_stores_have_a_column():
    comparison = build(entries=[entry(store, "planes", "svm") for store in ("one", "two")])[0]
    (rows,) = read_latex(to_latex(comparison))
    assert rows[3][:3] == ["head", "input", "store"] and sorted(row[2] for row in rows[4:]) == ["one", "two"]
    assert "Planes are those of" not in to_latex(comparison)


def test_more_splits_than_a_page_is_wide_go_into_another_table():
    splits = ["random:0.1", "blocks:12+4:0.1", "per-class:20"]
    comparison = build(splits=splits, seeds=2)[0]
    wide, narrow = read_latex(to_latex(comparison))
    ranked = ["blocks:12+4:0.1", "random:0.1", "per-class:20"]
    rows = [[head, given, *scores] for head, given, _, *scores in expected(comparison, ranked)]
    assert numbers(wide[4:]) == [row[:8] for row in rows]
    assert numbers(narrow[4:]) == [[*row[:2], *row[8:]] for row in rows]


def test_one_entry_is_no_best_and_one_seed_has_no_spread():
    comparison = build(entries=[entry("", "spectra", "svm")], seeds=1)[0]
    latex, markdown = to_latex(comparison), to_markdown(comparison)
    assert "textbf" not in latex and "**" not in markdown and "±" not in markdown
    assert "one seed, no interval" in latex and "interval" not in read_markdown(markdown)[0]


def test_names_that_mean_something_to_latex_markdown_or_html():
    comparison, _ = build(entries=[entry(NASTY, "planes", "head"), entry("<script>", "planes", "head")], seeds=1)
    latex, markdown, html = to_latex(comparison), to_markdown(comparison), to_html(comparison)
    told = r"{[}a\_b\textbar{}50\%\&\#\$\textasciicircum{}\textasciitilde{}\textbackslash{}x\{y\}\textless{}z\textgreater{}"
    assert f"head & planes & {told} &" in latex
    assert r"| \[a_b\|50%&amp;#$^~\\x{y}&lt;z> |" in markdown and {len(row) for row in read_markdown(markdown)} == {9}
    assert "<script>" not in html and "&lt;script&gt;" in html


@pytest.mark.parametrize("names", [("scene-rgb", "random-forest"), (NASTY, NASTY)], ids=["plain", "nasty"])
@pytest.mark.parametrize("splits", [SPLITS, SPLITS[:1], [*SPLITS, "per-class:20"]], ids=["two", "one", "three"])
def test_latex_takes_it_and_it_fits(splits, names, tmp_path):
    program = shutil.which("pdflatex") or shutil.which("tectonic")
    if program is None:
        pytest.skip("neither pdflatex nor tectonic is installed")
    store, head = names
    entries = [entry(store, "spectra+planes", head), entry("", "spectra+window", "hyperfeatures")]
    (tmp_path / "results.tex").write_text(to_latex(add_all(build(entries=entries, splits=splits)[0])))
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs}\textwidth=16.5cm\begin{document}"
        r"\begin{table*}\caption{Heads}\input{results.tex}\end{table*}\end{document}"
    )
    options = ["-interaction=nonstopmode", "-halt-on-error", "-draftmode"] if program.endswith("pdflatex") else []
    done = subprocess.run([program, *options, "paper.tex"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert head == NASTY or "Overfull" not in done.stdout + done.stderr


def test_changes_are_in_the_markdown():
    assert "Changes from the baseline" not in to_markdown(build()[0])
    comparison = add_changes(add_all(build()[0]))
    text = to_markdown(comparison).partition("## Changes from the baseline\n\n")[2]
    _, _, *rows = read_markdown(text)
    assert rows[0] == [
        "svm on spectra",
        SPLITS[0],
        "70.00",
        "74.00",
        "+4.00",
        "+3.00 to +5.00",
        "0.002",
        "better, beyond noise",
    ]
    assert rows[1][1:] == [SPLITS[0], "70.00", "71.00", "+1.00", "", "n/a", "not testable with one draw"]
    assert rows[2][4:] == ["+0.00", "+0.00 to +0.00", "1.000", "unchanged"]
    assert rows[3][0] == "mlp on planes of scene-rgb (old-rgb before, scene-rgb after)"
    assert rows[3][4:] == ["-1.00", "-2.00 to +1.00", "0.800", "within noise"]
    assert rows[4][4:] == ["-10.00", "", "0.030", "worse, beyond variation over seeds"]
    assert "P-values are corrected for all 4 tests (Holm)." in text and "does not generalise to unseen areas" in text
    assert "Only in this report:\n\n- new on spectra under random:0.1\n" in text
    assert f"Only in the baseline report:\n\n- gone on planes of &lt;b> under {SPLITS[0]}, {SPLITS[1]}\n" in text
