"""The table and the sentences of the overfitting study say what the numbers say."""

import re

import pytest

from ucolnet_lib.experiments.study_overfitting_numbers import CONDITIONS, MEASURES, SIZES, STUDIED, Condition, pairs
from ucolnet_lib.experiments.study_overfitting_table import findings, summary_table

V1, V3 = STUDIED


def results(differences: dict[tuple[str, str, str], tuple] = {}, seeds=3) -> dict:  # noqa: B006 (read only)
    """A study in which nothing can be told, but for `differences`: (first, second, measure) -> (mean, low, high)."""
    runs = [
        condition._asdict()
        | {"seed": seed, "best_epoch": 20 + seed, "epochs": 200, "best_step": 180 + 9 * seed, "smooth_step": 200}
        | {"steps": 1800, "rise": 5.0 + seed, "final_gap": 0.02, "ab_rmse": 10.0, "ab_rmse_last": 11.0 + seed}
        | {"parameters": 3000 if condition.model == V1 else 1000}
        for condition in CONDITIONS
        for seed in range(seeds)
    ]
    both = [*pairs(), *((Condition(V3, size, "all"), Condition(V1, size, "all")) for size in SIZES)]
    compared = []
    for first, second in both:
        for measure in MEASURES:
            value, low, high = differences.get((first.name, second.name, measure), (0.5, -1.0, 2.0))
            names = {"first": first.name, "second": second.name, "measure": measure}
            compared.append(names | {"difference": value, "low": low, "high": high})
    return {
        "runs": runs, "comparisons": compared, "seeds": seeds, "gray_ab_rmse": 20.0,
        "photographs": {"small": 72, "whole": 1720},
    }  # fmt: skip


def test_summary_has_means_and_spread():
    lines = summary_table(results()).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2 : 2 + len(CONDITIONS)]]
    assert [tuple(row[:3]) for row in rows] == [
        (c.size, "UColNet v1" if c.model == V1 else "UColNet v3", c.strength) for c in CONDITIONS
    ]
    assert rows[0][3:] == [
        "21 ± 1 of 200", "189 ± 9", "200 ± 0", "6.0 ± 1.0%", "0.0200 ± 0.0000", "10.00 ± 0.00", "12.00 ± 1.00", "0.500",
    ]  # fmt: skip
    assert len(lines[0].split("|")) == len(lines[1].split("|")) == len(lines[2].split("|"))
    assert "72 photographs" in summary_table(results()) and "1,720" in summary_table(results())
    assert "±" not in "".join(summary_table(results(seeds=1)).splitlines()[2:18])


def verdicts(text: str) -> list[str]:
    return re.findall(r"\*\*(.+?)\*\*", text)


def test_nothing_is_said_where_nothing_can_be_told():
    said = [v for v in verdicts(findings(results())) if not v.endswith("?")]
    assert len(said) == 2 + 6 + 2 * 2 * 9 and {v.removeprefix("it ") for v in said} == {"cannot be told"}


@pytest.mark.parametrize(
    ("interval", "later", "gap", "l2"),
    [((5.0, 1.0, 9.0), "later", "larger", "harms"), ((-5.0, -9.0, -1.0), "earlier", "smaller", "helps")],
)
def test_words_follow_the_intervals(interval, later, gap, l2):
    text = findings(
        results(
            {
                (f"{V3}-small-all", f"{V1}-small-all", "smooth_step"): interval,
                (f"{V3}-whole-all", f"{V1}-whole-all", "final_gap"): interval,
                (f"{V3}-small-1e-4", f"{V3}-small-0", "ab_rmse_last"): interval,
                (f"{V3}-small-0", f"{V1}-small-1e-5", "smooth_step"): tuple(100 * v for v in interval),
            }
        )
    )
    lines = text.splitlines()
    assert [v for v in verdicts(text) if "told" not in v and not v.endswith("?")] == [later, gap, l2]
    first = lines[1]
    assert "On 72 photographs" in first and f"{interval[0]:+,.0f} ({interval[1]:+,.0f} to {interval[2]:+,.0f})" in first
    assert f"{100 * interval[0]:+,.0f}" in first and first.endswith(f", {later}.") and "it cannot be told" in first
    (of_l2,) = [line for line in lines if f"**{l2}**" in line]
    assert f"{interval[0]:+.2f} ({interval[1]:+.2f} to {interval[2]:+.2f}) with 1e-4, **{l2}**" in of_l2
    assert lines.index(of_l2) > lines.index("- **Does L2 help v3?**")
    assert lines.index(of_l2) < lines.index("- **Does L2 help v1?**")


def test_runs_that_have_not_begun_to_overfit_are_counted():
    content = results()
    for run in content["runs"]:
        if run["model"] == V3 and run["size"] == "whole" and run["seed"] == 0:
            run["best_step"] = run["steps"]
    assert "On 1,720 photographs: 0 of v1's and 4 of v3's 12 runs reach their lowest loss" in findings(content)


def test_one_seed_and_sizes_of_models():
    alone = findings(results({(f"{V3}-small-all", f"{V1}-small-all", "smooth_step"): (5.0, None, None)}, seeds=1))
    assert "+5 (−∞ to ∞)" in alone and "later**" not in alone
    assert "v1 has 3,000 parameters, v3 1,000: v1 is 3.0 times as large" in alone
    assert not re.search(r"\bnan\b", alone)
