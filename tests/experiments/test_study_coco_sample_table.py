"""The tables and the sentences of the study of the real sample say what the numbers say."""

import re
from itertools import combinations

import pytest

from ucolnet_lib.evaluation.table import results_table
from ucolnet_lib.experiments.study_coco_sample import SYSTEMS
from ucolnet_lib.experiments.study_coco_sample_table import (
    PAIRS,
    columns,
    findings,
    full_columns,
    reading_table,
    trainings_table,
)


def row(name: str, gray: str | None, kind="control", seeds=None, of_gray=(0.99, 0.97, 1.01), minus=(0.0, -0.01, 0.01)):
    none = (None, None, None)

    def with_interval(field, values):
        return {field: values[0], f"{field}_ci": list(values[1:])}

    return {
        "name": name, "kind": kind, "size": None, "seeds": seeds, "gray": gray,
        **with_interval("rmse_rgb", (20.0, 19.0, 21.0)), **with_interval("rmse_of_gray", of_gray if gray else none),
        **with_interval("ab_rmse", (14.0, 13.0, 15.0)), **with_interval("colourfulness", (0.4, 0.35, 0.45)),
        "detectors": {
            detector: {"recognised": 100.0, **with_interval("retention", (0.9, 0.88, 0.92)),
                       **with_interval("minus_gray", minus if gray else none)}
            for detector in ("yolo", "other")
        },
    }  # fmt: skip


def results(of_gray=(0.99, 0.97, 1.01), minus=(0.0, -0.01, 0.01), differences={}, seeds=2, others=()) -> dict:  # noqa: B006
    """A study in which nothing can be told. `differences`: (first, second, measure) -> (difference, low, high)."""
    compared = []
    for first, second in combinations(SYSTEMS, 2):
        for measure in ("ab_rmse", "best_epoch", "final_gap"):
            value, low, high = differences.get((first, second, measure), (0.5, -1.0, 2.0))
            compared.append({"first": first, "second": second, "measure": measure, "difference": value,
                             "low": low, "high": high})  # fmt: skip
    models = [
        row(name + way, "gray" if way else "gray_16", "model", seeds, of_gray, minus)
        for name in (*SYSTEMS, *others)
        for way in ("", "_full_lightness")
    ]
    return {
        "rows": [row("original", "gray"), row("gray", None), row("mean_colour", "gray"), row("gray_16", None), *models],
        "trainings": [
            {"model": name, "seeds": seeds, "parameters": 1234, "weight_decay": 0.0, "best_epochs": [6, 15][:seeds],
             "epochs": 20.0, "lowest": 0.0161, "rise": 3.0, "final_gap": 0.002, "training": 0.014, "ab_rmse": 14.2,
             "ab_rmse_std": 0.1 if seeds > 1 else None, "miou": None if name.startswith("iizuka") else 0.02,
             "minutes": 5.0}
            for name in SYSTEMS
        ],
        "comparisons": compared, "others": list(others), "seeds": seeds,
        "paper": {"rmse": {"v3": 18.33, "v1": 18.45}, "retention": {"v3": 0.7667, "v1": 0.7717}},
        "photographs": {"training": 466, "validation": 52, "test": 300},
        "detectors": [{"detector": "yolo"}, {"detector": "other"}],
    }  # fmt: skip


def cells(text: str) -> list[list[str]]:
    return [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_one_table_with_the_papers_numbers_at_its_end():
    study = results()
    head, _, *body = cells(reading_table(study))
    assert head == list(columns(study)) and {len(line) for line in body} == {len(head)} == {10}
    assert [line[0] for line in body] == [*(r["name"] for r in study["rows"]), "the paper's v1", "the paper's v3"]
    assert body[1] == ["gray", "–", "20.00", "–", "14.00", "40.00%", *["90.00% (88.00 to 92.00%)", "–"] * 2]
    assert body[4][1:4] == ["2", "20.00", "0.990 (0.970 to 1.010)"]
    assert body[-2][2:8] == ["18.45", "–", "–", "–", "77.17%", "–"] and body[-1][2] == "18.33"
    assert "300 photographs" in reading_table(study) and "Mean over 2 trainings" in reading_table(study)
    assert "One training of each" in reading_table(results(seeds=1))


def test_the_table_for_programs_has_the_ends_of_all_intervals():
    study = results()
    table = results_table(study["rows"], full_columns(study))
    assert table["RMSE ↓ low"].tolist() == [19.0] * len(study["rows"])
    assert table["retention, yolo ↑ high"][0] == 0.92 and "pictures low" not in table
    assert len(table.columns) == 2 + 3 * 8


def test_without_a_detector():
    study = results() | {"detectors": []}
    assert len(cells(reading_table(study))[0]) == 6 and "No detector was asked." in findings(study)


def test_a_detector_that_recognises_nothing():
    study = results()
    for entry in study["rows"]:
        entry["detectors"]["other"] = dict.fromkeys(entry["detectors"]["other"]) | {
            "retention_ci": [None, None], "minus_gray_ci": [None, None]
        }  # fmt: skip
    assert "other recognises nothing in the originals" in findings(study) and "| – |" in reading_table(study)


def test_trainings():
    body = cells(trainings_table(results()))[2:]
    assert body[0] == ["Iizuka", "1,234", "0", "6 and 15 of 20", "0.01610", "3.0%", "+0.00200", "14.20 ± 0.10", "–",
                       "5.0"]  # fmt: skip
    assert [line[0] for line in body][-1] == "v3, weight decay" and body[2][8] == "0.020"
    assert "±" not in "".join(trainings_table(results(seeds=1)).splitlines()[2:9])


def verdicts(text: str) -> list[str]:
    return [v.removeprefix("it ") for v in re.findall(r"\*\*(.+?)\*\*", text) if not v.endswith("?")]


def test_nothing_is_said_where_nothing_can_be_told():
    text = findings(results())
    assert len(verdicts(text)) == 2 + len(PAIRS) and set(verdicts(text)) == {"cannot be told"}
    assert "0 of 7 models have a lower RMSE than gray, 0 a higher one" in text
    assert text.count("0 models lie above their gray with the whole interval, 0 below, of 7") == 4
    assert "Below it lie none of the models." in text and "7 reach their lowest loss" in text
    for missing in ("nan", "None", "inf "):
        assert missing not in text


def test_words_follow_the_intervals():
    low = {
        ("ucolnet_v1", "ucolnet_v3", "best_epoch"): (-4.0, -6.0, -2.0),  # v1 minus v3
        ("ucolnet_v1", "ucolnet_v3", "final_gap"): (0.002, 0.001, 0.003),
        ("ucolnet_v3", "ucolnet_v3_no_segmentation", "ab_rmse"): (-0.2, -0.3, -0.1),
        ("ucolnet_v2", "ucolnet_v3", "ab_rmse"): (-0.2, -0.3, -0.1),
        ("iizuka", "iizuka_no_classes", "ab_rmse"): (0.1, None, None),
    }
    text = findings(results((0.95, 0.93, 0.97), (0.02, 0.01, 0.03), low, others=["demo"]))
    assert verdicts(text) == ["later", "smaller", "cannot be told", "worse", "better", "cannot be told",
                              "cannot be told", "cannot be told", "more than gray", "more than gray"]  # fmt: skip
    assert "+4.0 (+2.0 to +6.0) epochs after v1's" in text and "-0.00200 (-0.00300 to -0.00100)" in text
    assert "+0.20 (+0.10 to +0.30), **worse**" in text and "+0.10 (−∞ to ∞)" in text
    assert "all 7 models have a lower RMSE than gray" in text and "the ab RMSE tells 2 apart" in text
    assert "7 models lie above their gray" in text and "Below it lie Iizuka," in text
    assert "demo, with the photographs' own lightness: RMSE 0.950 (0.930 to 0.970) of gray's" in text
    assert "+2.0% (+1.0% to +3.0%) against gray's" in text


@pytest.mark.parametrize("seeds", [1, 2])
def test_no_model_is_forgotten(seeds):
    pairs = {name for pair in PAIRS.values() for name in pair}
    assert pairs == set(SYSTEMS) and findings(results(seeds=seeds)).count("\n- **") == 4
