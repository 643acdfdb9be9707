"""What a report says of an evaluation, in words and in tables."""

import pytest
from made_evaluation import made_rows

from smoothdino_jax.apps.report.findings import findings, gaps, headline, percent, warnings
from smoothdino_jax.apps.report.tables import metric_tables
from smoothdino_jax.metrics import DEFINITIONS


def row(name, mse, kind="model", interval=None, **fields):
    first = 0.2
    change = None if mse is None else mse / first - 1
    made = {"name": name, "kind": kind, "what": "", "model": "m", "frames": 100, "scenes": 30, "empty": 0}
    made |= {"nonfinite": 0, "counts": {}, "missing": {}, "mse": mse, "mse_ci": None}
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
        "The MSE of adapter is 20 % lower than vanilla’s on 100 frames of 30 scenes (95 % interval: 15 to 25 % lower)."
    )


def test_a_change_that_may_be_chance_is_said_to():
    adapter = row("adapter", 0.19, interval=[-0.12, 0.021])
    assert "5.0 % lower" in headline([VANILLA, adapter], adapter)
    assert headline([VANILLA, adapter], adapter).endswith(
        "its 95 % interval (12 % lower to 2.1 % higher) includes no change: it may be chance."
    )
    alone = row("adapter", 0.19, scenes=1)
    assert headline([VANILLA, alone], alone).endswith(
        "on 100 frames of 1 scene. There is no interval, so whether it is chance is not known."
    )


def test_a_result_that_is_none_is_no_result():
    broken = row("adapter", None)
    assert headline([VANILLA, broken], broken).endswith("undefined, so there is no result.")
    assert headline([VANILLA], None) == "Only vanilla was evaluated: there is nothing to compare it with."
    assert findings([VANILLA, broken], broken, DEFINITIONS) == []


@pytest.mark.parametrize(
    ("shuffled", "text"),
    [
        (0.1610, "Most of the gain is not the past: 98 % of it remains with a past drawn at random."),
        (0.1760, "More than half of the gain is not the past: 60 % of it remains with a past drawn at random."),
        (0.1880, "The gain depends on the past in good part: 30 % of it remains with a past drawn at random."),
        (0.1996, "The gain depends on the past: 1 % of it remains with a past drawn at random."),
        (0.2400, "The gain depends on the past: nothing of it remains with a past drawn at random."),
    ],
)
def test_what_is_left_of_the_gain_without_the_past(shuffled, text):
    adapter = row("adapter", 0.16, interval=[-0.25, -0.1])
    rows = [VANILLA, adapter, row("adapter/shuffled", shuffled, "ablation")]
    assert findings(rows, adapter, DEFINITIONS)[0] == text


def test_ablations_with_the_same_outcome_share_a_sentence():
    adapter = row("adapter", 0.16, interval=[-0.25, -0.1])
    left = {"shuffled": 0.21, "current": 0.197, "first_frame": 0.22, "zero_shift": 0.16, "negated_shift": 0.162}
    rows = [VANILLA, adapter, *(row(f"adapter/{name}", mse, "ablation") for name, mse in left.items())]
    rows.append(row("other/shuffled", 0.16, "ablation"))
    assert findings(rows, adapter, DEFINITIONS)[:2] == [
        "The gain depends on the past: nothing of it remains with a past drawn at random or without any past, 8 % with "
        "the current frame in place of the past.",
        "Most of the gain is not the shift: 100 % of it remains with a shift of 0, 95 % with the opposite shift.",
    ]


def test_without_a_gain_nothing_is_said_of_where_it_comes_from():
    for mse, interval in ((0.21, [0.01, 0.09]), (0.19, [-0.12, 0.02])):
        adapter = row("adapter", mse, interval=interval)
        rows = [VANILLA, adapter, row("adapter/shuffled", 0.195, "ablation")]
        assert not [sentence for sentence in findings(rows, adapter, DEFINITIONS) if "past" in sentence]


def test_the_best_average_is_the_one_to_beat():
    adapter = row("adapter", 0.19)
    rows = [VANILLA, adapter, row("mean2", 0.195, "average"), row("mean3_aligned", 0.152, "average")]
    assert findings(rows, adapter, DEFINITIONS)[0] == (
        "The MSE of adapter (0.1900 m²) is 25 % higher than that of mean3_aligned, the best of 2 averages over time "
        "(0.1520 m²); no interval."
    )


def test_a_difference_between_two_rows_has_its_own_interval():
    adapter, other = row("adapter", 0.16), row("current_only", 0.164)
    told = findings([VANILLA, adapter, other], adapter, DEFINITIONS, lambda name, against: (-0.05, 0.01))[0]
    assert told.endswith("(0.1640 m²); the interval (5.0 % lower to 1.0 % higher) includes no difference.")


def test_what_got_worse_is_named():
    better = VANILLA | {"flicker": 0.02, "delta1": 0.8, "edge_f1": 0.5}
    adapter = row("adapter", 0.16, flicker=0.01, delta1=0.9, edge_f1=0.45)
    told = findings([better, adapter], adapter, DEFINITIONS)[0]
    assert told == "Of 4 metrics that differ from vanilla’s, 3 are better; worse: edge F1 10 % lower."


def test_frames_that_do_not_count_are_counted():
    rows = [VANILLA | {"empty": 4}, row("adapter", None, empty=4, nonfinite=2, interval=None)]
    assert warnings(rows) == [
        "Left out, because the truth has no reading: 4 of 104 frames.",
        "adapter: the prediction of 2 frames has pixels that are NaN or infinite. Means over its frames are undefined.",
    ]
    few = [VANILLA | {"scenes": 5}, row("adapter", 0.1, interval=[-0.6, -0.4])]
    assert warnings(few) == ["The intervals are over 5 scenes: with so few, they are likely too narrow."]


def test_metrics_that_are_missing_come_with_the_reason():
    rows = [VANILLA | {"missing": {"tae_zbuffer": "no poses", "opw_nvds": "no poses"}, "counts": {"flicker": 98}}]
    assert gaps(rows) == ["tae_zbuffer, opw_nvds: no poses", "flicker: on 98 of 100 frames alone"]


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


def test_a_scale_has_no_best():
    scale = metric_tables([row("a", 0.2, scale_median=0.9), row("b", 0.2, scale_median=1.1)], DEFINITIONS)[1]
    assert scale.title == "Scale"
    assert not any(cell.best for line in scale.rows for cell in line)


def test_every_metric_of_a_row_is_in_one_table():
    rows = made_rows()
    shown = [column.key for table in metric_tables(rows, DEFINITIONS)[:-1] for column in table.columns[1:]]
    assert sorted(shown) == sorted(name for name in DEFINITIONS if rows[0].get(name) is not None)
