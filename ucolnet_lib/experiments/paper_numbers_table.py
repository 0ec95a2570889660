"""The table of `ucolnet study paper-numbers`, for programs and for reading, and what it says in plain sentences.

All is made from results.json alone: `results` is its content (see `paper_numbers`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ucolnet_lib.evaluation.gray_paths import PRESUMED_SIZE, GrayPath
from ucolnet_lib.evaluation.table import Column, markdown

DEFINITIONS = {
    "rgb_pooled": "RGB, pooled",
    "rgb_mean": "RGB, mean over images",
    "ab_pooled": "ab per channel, pooled",
    "ab_mean": "ab per channel, mean over images",
    "ab_euclid_pooled": "ab distance, pooled",
    "ab_euclid_mean": "ab distance, mean over images",
}
"""The six definitions of RMSE (`metrics.rmse`), as people read them; RGB 0-255, ab in CIELAB units."""

MARKS = {"as many": "=", "fewer": "<", "more": ">", None: "?"}


def full_table(results: dict) -> pd.DataFrame:
    """A row for each detector, confidence and path, with the RMSE of the path; nested fields with dots, such as
    `paper_over_gray.rgb_mean.v3`; intervals as `.low` and `.high`."""
    retained, errors = (pd.json_normalize(results[part]) for part in ("retention", "rmse"))
    for table in (retained, errors):
        for name in [column for column in table if "_ci" in column]:
            ends = table.pop(name)
            table[f"{name}.low"], table[f"{name}.high"] = ends.str[0], ends.str[1]
    return retained.merge(errors, on=["conversion", "kernel", "size"], how="left", validate="many_to_one")


def reading_table(results: dict) -> str:
    """Markdown: a row a path, with the paper's RMSE as a multiple of gray's, and the retention of gray for each
    detector and confidence; a caption; the findings."""
    rows = []
    for of_path in results["rmse"]:
        path = _path(of_path)
        cells = {"gray by": path.conversion, "size": str(path.size or "full"), "kernel": path.kernel}
        for name in ("rgb_pooled", "rgb_mean"):
            ratio = of_path["paper_over_gray"][name]["v3"]
            cells[f"RMSE: paper / gray, {DEFINITIONS[name]}"] = None if ratio is None else f"{ratio:.2f}"
        for row in (row for row in results["retention"] if _path(row) == path):
            text = f"{row['retention']:.1%} {MARKS[row['gray_keeps']]}"
            cells[_referee(row)] = f"**{text}**" if row["gray_keeps"] == "as many" else text
        rows.append(cells)
    table = markdown(rows, {name: Column((name,), 0) for name in rows[0]}, _caption(results))
    return "\n".join([table, "What it says:", "", *(f"- {sentence}" for sentence in findings(results)), ""])


def _caption(results: dict) -> str:
    paper = results["paper"]
    v1, v3 = (f"{paper['retention'][model]:.1%} ({model})" for model in ("v1", "v3"))
    ends = [row["retention_ci"] for row in results["retention"] if None not in row["retention_ci"]]
    halves = [100 * (high - low) / 2 for low, high in ends]
    wide = f" Its interval reaches {min(halves):.1f} to {max(halves):.1f} points to each side." if halves else ""
    return (
        "A row a path of a gray picture: how it became gray, the side of the square that it was resized to and back "
        "(pixels), and the kernel. Last columns: retention by detector and confidence, that is, the objects recognised "
        f"in the gray pictures, as a share of those recognised in the originals.{wide} **=** consistent with the "
        "paper: a picture without any colour through this path keeps as many objects as the paper's colourings "
        f"({v1} and {v3} lie within the interval). It does not mean that the paper's colours do nothing, but that its "
        "retention cannot show that they do. < gray keeps fewer: along this path the paper's colours would have "
        "helped. > gray keeps more: along this path the paper's pictures would have lost more than colour. RMSE: the "
        f"paper's {paper['rmse']['v3']} (v3) over gray's; below 1, it is better than no colour. Intervals are of 95%, "
        f"by a bootstrap over {results['photographs']:,} photographs, which need not be a random draw of the paper's "
        "5,000; fewer photographs give wider intervals, and so more that is consistent. Combinations are not equally "
        "likely: their number is no probability."
    )


def findings(results: dict) -> list[str]:
    """What the numbers say, in plain sentences."""
    rows = pd.DataFrame(results["retention"])
    return [
        _consistent(rows),
        _by_kernel(rows),
        _by_other_choices(rows),
        _by_definition(results),
        _by_originals(results),
        _together(results),
    ]


def _consistent(rows: pd.DataFrame) -> str:
    by_size = rows.groupby(rows["size"].fillna(np.inf))["gray_keeps"]
    sizes = [
        f"{(keeps == 'as many').sum()} of {len(keeps)} "
        f"{f'through {size:g} px' if size < np.inf else 'at full resolution'}"
        for size, keeps in by_size
    ]
    keeps = rows["gray_keeps"].value_counts()
    return (
        f"Of {len(rows)} combinations of detector, confidence and path, {keeps.get('as many', 0)} are consistent with "
        f"the paper's retention ({', '.join(sizes)}); in {keeps.get('fewer', 0)} gray keeps fewer objects than the "
        f"paper's colourings, in {keeps.get('more', 0)} more."
    )


def _by_kernel(rows: pd.DataFrame) -> str:
    """The spread by kernel alone at the presumed size, for each detector at its lowest confidence."""
    lowest = rows["confidence"].min()
    at = rows[(rows["size"] == PRESUMED_SIZE) & (rows["conversion"] == "L") & (rows["confidence"] == lowest)]
    spreads = []
    for detector, part in at.groupby("detector", sort=False):
        low, high = (part.loc[place] for place in (part["retention"].idxmin(), part["retention"].idxmax()))
        ends = (f"{end['retention']:.1%} ({end['kernel']})" for end in (low, high))
        spreads.append(f"from {' to '.join(ends)} with {detector}")
    return (
        f"Through {PRESUMED_SIZE} px and at confidence {lowest:g}, the kernel alone moves the retention of gray "
        f"{', '.join(spreads)}."
    )


def _by_other_choices(rows: pd.DataFrame) -> str:
    def spread(choice: str) -> str:
        """The largest by this choice alone, all others equal."""
        others = [c for c in ("detector", "confidence", "conversion", "kernel", "size") if c != choice]
        equal = rows.groupby(others, dropna=False)["retention"]
        return f"{100 * (equal.max() - equal.min()).max():.1f}"

    detector = f", the detector by at most {spread('detector')}" if rows["detector"].nunique() > 1 else ""
    return (
        f"All else equal, the conversion to gray moves it by at most {spread('conversion')} percentage points, the "
        f"confidence by at most {spread('confidence')}{detector}."
    )


def _by_definition(results: dict) -> str:
    """Which definitions of RMSE allow that the paper's models colour better than gray."""
    texts: dict[bool, list[str]] = {True: [], False: []}
    for name, text in DEFINITIONS.items():
        ratios = [path["paper_over_gray"][name]["v3"] for path in results["rmse"]]
        known = [f"{ratio:.2f}" for ratio in sorted(r for r in ratios if r is not None)] or ["–"]
        possible = sum(path["possible"][name] is True for path in results["rmse"])
        some = f", on {possible} of {len(ratios)} paths" if 0 < possible < len(ratios) else ""
        texts[possible > 0].append(f"{text} ({' to '.join(dict.fromkeys((known[0], known[-1])))}{some})")
    can, cannot = ("; ".join(texts[possible]) or "none" for possible in (True, False))
    return (
        "A model that colours better than gray has a lower RMSE than gray. On photographs like these, the paper's "
        f"{results['paper']['rmse']['v3']} can be so (with its ratio to gray's) in: {can}. It cannot in: {cannot}."
    )


def _by_originals(results: dict) -> str:
    shares = [
        f"{row['share']:.1%} by {_referee(row)} ({_ends(row['share_ci'])}{': agrees' if row['as_paper'] else ''})"
        for row in results["originals"]
    ]
    return (
        f"In the originals, the paper recognises {results['paper']['share']:.2%} of all objects; here it is "
        f"{'; '.join(shares)}."
    )


def _together(results: dict) -> str:
    """What is left where share, retention and RMSE must all agree."""
    referees = {_referee(row) for row in results["originals"] if row["as_paper"]}
    left = [row for row in results["retention"] if row["gray_keeps"] == "as many" and _referee(row) in referees]
    possible = {_path(of_path): sum(p is True for p in of_path["possible"].values()) for of_path in results["rmse"]}
    all_three, retained = sum(possible[_path(row)] for row in left), len(results["retention"])
    several = ", so the paper's numbers do not tell which of them it took" if all_three > 1 else ""
    return (
        f"Both retention and the share in the originals agree in {len(left)} of {retained} combinations; with the "
        f"definitions of RMSE that are possible there, {all_three} of {retained * len(DEFINITIONS)} are left{several}."
    )


def _path(row: dict) -> GrayPath:
    return GrayPath(row["conversion"], row["kernel"], row["size"])


def _referee(row: dict) -> str:
    return f"{row['detector']} at {row['confidence']:g}"


def _ends(interval: list[float | None]) -> str:
    low, high = ("–" if end is None else f"{100 * end:.1f}" for end in interval)
    return f"{low} to {high}"
