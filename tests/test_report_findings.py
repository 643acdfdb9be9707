"""What a report says of an evaluation, in words and in tables."""

import pytest
from made_evaluation import made_rows

from smoothdino_jax.apps.report.findings import findings, headline, percent
from smoothdino_jax.apps.report.tables import metric_tables
from smoothdino_jax.metrics import DEFINITIONS


def row(name, mse, kind="model", interval=None, **fields):
    first = 0.2
    change = None if mse is None else mse / first - 1
    made = {"name": name, "kind": kind, "what": "", "model": "m", "frames": 100, "scenes": 30, "empty": 0}
    made |= {
        "unit": "scene",
        "units": fields.get("scenes", 30),
        "nonfinite": 0,
        "counts": {},
        "missing": {},
        "mse": mse,
        "mse_ci": None,
    }
    return made | {"mse_change": change, "mse_change_ci": interval} | fields


VANILLA = row("vanilla", 0.2)


@pytest.mark.parametrize(
    ("change", "text"),
    [(-0.1743, "17 % lower"), (0.0512, "5.1 % higher"), (-0.0996, "10 % lower"), (1e-4, "the same to 0.1 %")],
)
def test_changes_in_words(change, text):
    assert percent(change) == text


def test_the_headline_says_by_how_much_and_how_surely():
    adapter = row("adapter", 0.16, interval=[-0.25, -0.146])
    assert headline([VANILLA, adapter], adapter) == (
        "The MSE of `adapter` is 20 % lower than `vanilla`’s on 100 frames of 30 scenes (95 % interval: 15 to 25 % "
        "lower)."
    )


def test_a_change_that_may_be_chance_is_said_to():
    adapter = row("adapter", 0.19, interval=[-0.12, 0.021])
    assert "5.0 % lower" in headline([VANILLA, adapter], adapter)
    assert headline([VANILLA, adapter], adapter).endswith(
        "its 95 % interval (12 % lower to 2.1 % higher) includes no change: it may be chance."
    )
    alone = row("adapter", 0.19, scenes=1)
    assert headline([VANILLA, alone], alone).endswith(
        "on 100 frames of 1 scene; there is no interval, so whether it is chance is not known."
    )


@pytest.mark.parametrize(
    ("interval", "end"),
    [
        ([0.0, 0.0], ", and so it is at both ends of its 95 % interval."),
        ([-0.031, 0.02], " (95 % interval: 3.1 % lower to 2.0 % higher)."),
        (None, "; there is no interval."),
    ],
)
def test_no_change_is_neither_a_gain_nor_chance(interval, end):
    adapter = row("adapter", 0.2, interval=interval)
    told = headline([VANILLA, adapter], adapter)
    assert told == f"The MSE of `adapter` is the same to 0.1 % as `vanilla`’s on 100 frames of 30 scenes{end}"


def test_single_images_are_no_frames_of_scenes():
    adapter = row("adapter", 0.16, interval=[-0.25, -0.146], unit="image", units=100)
    assert " on 100 single images (95 % interval" in headline([VANILLA, adapter], adapter)


def test_a_result_that_is_none_is_no_result():
    broken = row("adapter", None)
    assert headline([VANILLA, broken], broken).endswith("undefined, so there is no result.")
    assert headline([VANILLA], None) == "Only `vanilla` was evaluated: there is nothing to compare it with."
    assert findings([VANILLA, broken], broken, DEFINITIONS) == []


def test_what_ablations_leave_of_the_gain_is_told():
    adapter = row("adapter", 0.16, interval=[-0.25, -0.1])
    rows = [VANILLA, adapter, row("adapter/current", 0.161, "ablation")]
    assert findings(rows, adapter, DEFINITIONS)[0] == (
        "98 % of the gain remains with the current frame in place of the past."
    )


def test_the_verdict_on_the_past_is_the_headlines_second_sentence():
    for interval, end in (([-0.25, -0.1], "lower)."), (None, "not known.")):
        adapter = row("adapter", 0.16, interval=interval)
        rows = [VANILLA, adapter]
        assert headline(rows, adapter).endswith(end)
        rows += [row(f"adapter/{what}", 0.1601, "ablation") for what in ("shuffled", "current", "first_frame")]
        assert headline(rows, adapter).endswith(f"{end} It does not use the past.")


def test_the_best_average_is_the_one_to_beat():
    adapter = row("adapter", 0.19)
    rows = [VANILLA, adapter, row("mean2", 0.195, "average"), row("mean3_aligned", 0.152, "average")]
    assert findings(rows, adapter, DEFINITIONS)[0] == (
        "The MSE of `adapter` (0.1900 m²) is 25 % higher than that of `mean3_aligned`, the best of 2 averages over "
        "time (0.1520 m²); no interval."
    )


def test_a_difference_between_two_rows_has_its_own_interval():
    adapter, other = row("adapter", 0.16), row("current_only", 0.164)
    told = findings([VANILLA, adapter, other], adapter, DEFINITIONS, lambda name, against: (-0.05, 0.01))[0]
    assert told.endswith("(0.1640 m²); the interval (5.0 % lower to 1.0 % higher) includes no difference.")
    twin = row("twin", 0.16)
    told = findings([VANILLA, adapter, twin], adapter, DEFINITIONS, lambda name, against: (0.0, 0.0))[0]
    assert told == (
        "The MSE of `adapter` (0.1600 m²) is the same to 0.1 % as that of `twin` (0.1600 m²), and so it is at both "
        "ends of the interval."
    )


def test_what_got_worse_is_named():
    better = VANILLA | {"flicker": 0.02, "delta1": 0.8, "edge_f1": 0.5}
    adapter = row("adapter", 0.16, flicker=0.01, delta1=0.9, edge_f1=0.45)
    told = findings([better, adapter], adapter, DEFINITIONS)
    assert told == [
        "Of 4 metrics that differ from `vanilla`’s, 3 are better in the mean (no intervals); worse: edge F1 10 % lower."
    ]


@pytest.mark.parametrize(
    ("mse", "delta1", "text"),
    [
        (0.16, 0.8, "The one metric that differs from `vanilla`’s is better in the mean (no interval)."),
        (
            0.25,
            0.8,
            "The one metric that differs from `vanilla`’s is worse in the mean (no interval): MSE 25 % higher.",
        ),
        (0.16, 0.9, "All 2 metrics that differ from `vanilla`’s are better in the mean (no intervals)."),
        (
            0.16,
            0.4,
            "Of 2 metrics that differ from `vanilla`’s, 1 is better in the mean (no intervals); worse: δ1 50 % ",
        ),
        (0.25, 0.4, "Of 2 metrics that differ from `vanilla`’s, none is better in the mean (no intervals); worse: MSE"),
    ],
)
def test_metrics_are_counted_in_words_that_fit_their_number(mse, delta1, text):
    adapter = row("adapter", mse, delta1=delta1)
    told = findings([VANILLA | {"delta1": 0.8}, adapter], adapter, DEFINITIONS)[0]
    assert told.startswith(text.replace("δ1", DEFINITIONS["delta1"].label))


def test_means_over_different_frames_are_not_compared():
    first = VANILLA | {"flicker": 0.02, "edge_f1": 0.5, "delta1": 0.8, "counts": {"edge_f1": 90, "flicker": 98}}
    adapter = row("adapter", 0.16, edge_f1=0.7, flicker=0.01, delta1=None, counts={"edge_f1": 80, "flicker": 98})
    assert findings([first, adapter], adapter, DEFINITIONS) == [
        "All 2 metrics that differ from `vanilla`’s are better in the mean (no intervals). Undefined for `adapter`: "
        f"{DEFINITIONS['delta1'].label}. Not compared, as the two rows have it on different numbers of frames: edge F1."
    ]


def test_a_metric_that_was_0_has_no_relative_change():
    adapter = row("adapter", 0.2, flicker=0.01)
    told = findings([VANILLA | {"flicker": 0.0}, adapter], adapter, DEFINITIONS)[0]
    assert told.endswith("is worse in the mean (no interval): flicker 0.01 instead of 0.")


def test_the_best_of_a_column_is_marked_by_what_it_reads():
    rows = [row("a", 0.20001, delta1=0.9), row("b", 0.20002, delta1=0.8), row("c", 0.3, delta1=None)]
    depth = metric_tables(rows, DEFINITIONS)[0]
    assert [column.key for column in depth.columns] == ["row", "mse", "delta1"]
    marked = [[(cell.text, cell.best) for cell in line[1:]] for line in depth.rows]
    assert marked == [
        [("0.2000", True), ("0.9000", True)],
        [("0.2000", True), ("0.8000", False)],
        [("0.3000", False), ("–", False)],
    ]


def test_only_models_are_marked_and_none_where_all_models_tie():
    rows = [row("a", 0.2, delta1=0.9), row("b", 0.3, delta1=0.9), row("b/current", 0.1, "ablation", delta1=0.8)]
    rows.append(row("mean2", 0.2, "average", delta1=0.95))
    depth = metric_tables(rows, DEFINITIONS)[0]
    assert [[cell.best for cell in line[1:]] for line in depth.rows] == [[True, False], *[[False, False]] * 3]


def test_a_scale_has_no_best():
    scale = metric_tables([row("a", 0.2, scale_median=0.9), row("b", 0.2, scale_median=1.1)], DEFINITIONS)[1]
    assert scale.title == "Scale"
    assert not any(cell.best for line in scale.rows for cell in line)


def test_every_metric_of_a_row_is_in_one_table():
    rows = made_rows()
    shown = [column.key for table in metric_tables(rows, DEFINITIONS)[:-1] for column in table.columns[1:]]
    assert sorted(shown) == sorted(name for name in DEFINITIONS if rows[0].get(name) is not None)
