"""Tables and sentences carry the numbers of results.json, and change with them."""

from dataclasses import asdict

import pytest

from ucolnet_lib.evaluation.gray_paths import PATHS
from ucolnet_lib.experiments.paper_numbers_table import DEFINITIONS, findings, full_table, reading_table


def results_of(kept, possible=("rgb_pooled", "rgb_mean"), as_paper=("a at 0.25",), detectors=("a", "b")):
    """`kept`: (detector, confidence, path) -> retention and `gray_keeps`; an interval of 3 points to each side."""
    referees = [(detector, confidence) for detector in detectors for confidence in (0.25, 0.5)]
    rows = []
    for detector, confidence in referees:
        for path in PATHS:
            value, keeps = kept(detector, confidence, path)
            rows.append(
                {"detector": detector, "confidence": confidence, **asdict(path)}
                | {"recognised_in_originals": 1000, "recognised": round(1000 * value), "retention": value}
                | {"retention_ci": [value - 0.03, value + 0.03], "gray_keeps": keeps}
            )
    return {
        "retention": rows,
        "originals": [
            {"detector": d, "confidence": c, "objects": 2000, "recognised": 1000, "share": 0.5}
            | {"share_ci": [0.47, 0.53], "as_paper": f"{d} at {c:g}" in as_paper}
            for d, c in referees
        ],
        "rmse": [
            asdict(path)
            | {"rmse": dict.fromkeys(DEFINITIONS, 20.0), "rmse_ci": dict.fromkeys(DEFINITIONS, [18.0, 22.0])}
            | {
                "paper_over_gray": {
                    name: {"v3": 0.5 + place / 100, "v1": 0.6} if name in possible else {"v3": 1.25, "v1": 1.3}
                    for name in DEFINITIONS
                },
                "possible": {name: name in possible for name in DEFINITIONS},
            }
            for place, path in enumerate(PATHS)
        ],
        "paper": {"retention": {"v3": 0.7667, "v1": 0.7717}, "share": 0.4773, "rmse": {"v3": 18.33, "v1": 18.45}},
        "photographs": 300,
    }


def by_size(detector, confidence, path):
    """As the paper through 224, fewer below, more above."""
    if path.size == 224:
        return 0.77, "as many"
    return (0.5, "fewer") if path.size == 128 else (0.9, "more")


def test_what_it_says():
    consistent, kernels, choices, definitions, shares, together = findings(results_of(by_size))
    assert consistent == (
        "Of 92 combinations of detector, confidence and path, 32 are consistent with the paper's retention (0 of 24 "
        "through 128 px, 32 of 32 through 224 px, 0 of 24 through 256 px, 0 of 12 at full resolution); in 24 gray "
        "keeps fewer objects than the paper's colourings, in 36 more."
    )
    assert "from 77.0% (pil-bicubic) to 77.0% (pil-bicubic) with a, from 77.0%" in kernels
    assert "conversion to gray moves it by at most 0.0 percentage points, the confidence by at most 0.0" in choices
    assert "RGB, pooled (0.50 to 0.72); RGB, mean over images (0.50 to 0.72). It cannot in: ab per" in definitions
    assert "ab distance, mean over images (1.25)." in definitions
    assert "47.73% of all objects; here it is 50.0% by a at 0.25 (47.0 to 53.0: agrees); 50.0% by a at 0.5 (" in shares
    assert shares.count("agrees") == 1
    assert "agree in 8 of 92 combinations; with the definitions of RMSE that are possible there, 16 of 552" in together
    assert together.endswith("do not tell which of them it took.")


def test_each_choice_has_its_own_spread():
    def kept(detector, confidence, path):
        value = 0.7 + (detector == "b") * 0.01 + (confidence == 0.5) * 0.02 + (path.conversion == "mean") * 0.04
        value += {"opencv-linear": -0.08, "pil-lanczos": 0.05}.get(path.kernel, 0) * (path.size == 224)
        return value + (path.size or 0) / 1000, "more"

    _, kernels, choices, *_ = findings(results_of(kept))
    assert "from 84.4% (opencv-linear) to 97.4% (pil-lanczos) with a, from 85.4% (opencv-linear) to 98.4%" in kernels
    assert "at confidence 0.25" in kernels
    for words in ("conversion to gray moves it by at most 4.0", "confidence by at most 2.0", "detector by at most 1.0"):
        assert words in choices


def test_one_detector_is_not_compared_with_itself():
    choices = findings(results_of(by_size, detectors=("a",)))[2]
    assert "detector" not in choices


def test_nothing_agrees():
    results = results_of(lambda *_: (0.9, "more"), possible=(), as_paper=())
    consistent, *_, definitions, shares, together = findings(results)
    assert ", 0 are consistent" in consistent and "in 0 gray keeps fewer" in consistent and "in 92 more" in consistent
    assert "can be so (with its ratio to gray's) in: none. It cannot in: RGB, pooled (1.25); " in definitions
    assert "agrees" not in shares
    assert together.endswith("0 of 552 are left.") and "agree in 0 of 92" in together


def test_a_definition_possible_on_some_paths():
    results = results_of(by_size)
    for row in results["rmse"][5:]:
        row["possible"]["rgb_mean"] = False
    assert "RGB, mean over images (0.50 to 0.72, on 5 of 23 paths). It cannot" in findings(results)[3]


def test_the_table_for_reading():
    text = reading_table(results_of(by_size))
    table, rest = text.split("\n\n", 1)
    head, _, *lines = table.splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")] == [
        "gray by", "size", "kernel", "RMSE: paper / gray, RGB, pooled", "RMSE: paper / gray, RGB, mean over images",
        "a at 0.25", "a at 0.5", "b at 0.25", "b at 0.5",
    ]  # fmt: skip
    assert len(lines) == 23
    assert lines[0] == "| L | 128 | pil-bicubic | 0.50 | 0.50 | 50.0% < | 50.0% < | 50.0% < | 50.0% < |"
    assert lines[6].startswith("| L | 224 | pil-bicubic | 0.56 | 0.56 | **77.0% =** |")
    assert lines[-1] == "| mean | full | – | 0.72 | 0.72 | 90.0% > | 90.0% > | 90.0% > | 90.0% > |"
    assert "a picture without any colour through this path keeps as many objects as the paper's colourings" in rest
    assert "77.2% (v1) and 76.7% (v3)" in rest and "3.0 to 3.0 points" in rest and "300 photographs" in rest
    assert [line.removeprefix("- ") for line in rest.splitlines() if line.startswith("- ")] == findings(
        results_of(by_size)
    )


def test_the_table_for_programs():
    results = results_of(by_size)
    table = full_table(results)
    assert len(table) == len(results["retention"]) and table.columns.is_unique
    for row, kept in zip(table.to_dict("records"), results["retention"], strict=True):
        assert (row["detector"], row["confidence"], row["gray_keeps"]) == (
            kept["detector"], kept["confidence"], kept["gray_keeps"]
        )  # fmt: skip
        assert [row["retention_ci.low"], row["retention_ci.high"]] == kept["retention_ci"]
        (place,) = [i for i, path in enumerate(PATHS) if asdict(path) == {key: kept[key] for key in asdict(path)}]
        assert row["paper_over_gray.rgb_mean.v3"] == 0.5 + place / 100
        assert (row["rmse_ci.ab_mean.low"], row["rmse_ci.ab_mean.high"]) == (18, 22)
        assert row["possible.ab_mean"] is False and row["possible.rgb_mean"] is True


@pytest.mark.parametrize("table", [full_table, reading_table, findings])
def test_what_has_no_interval(table):
    results = results_of(lambda *_: (0.9, None))
    for row in results["retention"]:
        row["retention_ci"] = [None, None]
    for row in results["originals"]:
        row |= {"share_ci": [None, None], "as_paper": None}
    for row in results["rmse"]:
        row["rmse_ci"] = dict.fromkeys(DEFINITIONS, [None, None])
        row["possible"] = dict.fromkeys(DEFINITIONS)
        row["paper_over_gray"] = dict.fromkeys(DEFINITIONS, {"v3": None, "v1": None})
    made = table(results)
    if table is full_table:
        assert made["retention_ci.low"].isna().all() and made["possible.rgb_mean"].isna().all()
    else:
        assert "50.0% by a at 0.25 (– to –)" in str(made) and "RGB, pooled (–)" in str(made)
    if table is reading_table:
        assert "| – | – | 90.0% ? |" in made and "points to each side" not in made
