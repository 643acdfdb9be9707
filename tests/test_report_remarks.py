"""What a report says that weakens the numbers: frames left out, models on other encoders, metrics without a value."""

import pytest
from report_page import page_of, rewrite, write_rows_alone
from test_report_findings import VANILLA, row

from smoothdino_jax.apps.report.remarks import gaps, warnings
from smoothdino_jax.metrics import DEFINITIONS

POSES = ("tae_vda", "tae_zbuffer", "opw_fmnet", "opw_nvds")


def test_frames_that_do_not_count_are_counted():
    rows = [VANILLA | {"empty": 4}, row("adapter", None, empty=4, nonfinite=2, interval=None)]
    assert warnings(rows) == [
        "Left out, because the truth has no reading: 4 of 104 frames.",
        "`adapter`: the prediction of 2 frames has pixels that are NaN or infinite. Means over its frames are "
        "undefined.",
    ]


@pytest.mark.parametrize(
    ("unit", "units", "told"),
    [
        ("scene", 5, ["The intervals are over 5 scenes: with so few, they are likely too narrow."]),
        ("image", 19, ["The intervals are over 19 images: with so few, they are likely too narrow."]),
        ("image", 654, []),  # of one scene, as far as their folder says
    ],
)
def test_intervals_over_few_scenes_or_images_are_warned_of(unit, units, told):
    over = {"unit": unit, "units": units, "scenes": 1 if unit == "image" else units}
    assert warnings([VANILLA | over, row("adapter", 0.1, interval=[-0.6, -0.4]) | over]) == told
    assert warnings([VANILLA | over, row("adapter", 0.1) | over]) == []


def test_metrics_that_are_missing_come_with_the_reason():
    rows = [VANILLA | {"missing": {"tae_zbuffer": "no poses", "opw_nvds": "no poses"}, "counts": {"flicker": 98}}]
    assert gaps(rows, DEFINITIONS) == ["TAE, z-buffer; OPW (NVDS code): no poses", "flicker: on 98 of 100 frames alone"]


def without(row, names, reason="no poses"):
    return row | dict.fromkeys(names) | {"missing": dict.fromkeys(names, reason)}


def test_a_family_that_no_row_has_is_remarked_on_once():
    rows = [without(VANILLA, POSES), without(row("adapter", 0.1), POSES)]
    assert warnings(rows, DEFINITIONS) == ["Not measured: TAE and OPW (no poses)."]


def test_a_broken_row_does_not_tell_why_the_others_lack_a_family():
    adapter = without(row("adapter", 0.1), POSES)
    broken = without(VANILLA | {"nonfinite": 3}, POSES, "3 frame(s) with NaN or infinite predictions")
    assert warnings([broken, adapter], DEFINITIONS)[-1] == "Not measured: TAE and OPW (no poses)."
    assert "Not measured: TAE and OPW (3 frame(s) with NaN" in warnings([broken], DEFINITIONS)[-1]


def test_a_family_of_which_something_is_known_is_not():
    part = [without(VANILLA, POSES[1:2]) | {"tae_vda": 0.1}]
    assert warnings(part, DEFINITIONS) == []
    other = [without(VANILLA, POSES[:2]), row("adapter", 0.1, tae_vda=0.2)]
    assert warnings(other, DEFINITIONS) == []
    assert warnings([VANILLA], DEFINITIONS) == []  # not asked for


def test_another_frozen_model_is_told_above_and_with_the_rows(tmp_path):
    workdir = write_rows_alone(tmp_path / "run")
    assert "another encoder" not in page_of(workdir)

    def mark(rows):
        for made in rows:
            made["frozen_differs"] = made["name"] in ("biases", "mean2")

    rewrite(workdir, mark)
    page = page_of(workdir)
    mind = page.split('id="warnings"')[1].split("</section>")[0]
    assert "On another encoder or decoder than <code>vanilla</code>’s: <code>biases</code>. A change" in mind
    assert page.count("models/x]; not on <code>vanilla</code>’s encoder and decoder</td>") == 2
