"""What the tensors of a model folder say of its config."""

import dataclasses

import pytest

from smoothdino_jax.weights import embedded, read_config
from smoothdino_jax.weights.disagreements import disagreements
from smoothdino_jax.weights.rules import target_shapes


@pytest.mark.parametrize(
    ("part", "fields", "told"),
    [
        ("encoder", {"native_grid": 9}, ["encoder.native_grid (9, by the tensors"]),
        ("encoder", {"blocks": (0, 1, 2, 4), "depth": 5}, ["encoder.blocks (the last 4, by the tensors the last 3)"]),
        ("encoder", {"swiglu": True}, ["encoder.swiglu"]),
        ("decoder", {"levels": (3, 5, 7, 9)}, ["decoder.levels ([3, 5, 7, 9], by the tensors ["]),
        ("decoder", {"features": 12, "last": 10}, ["decoder.features (12,", "decoder.last (10,"]),
        ("adapter", {"inputs": ("current",)}, ["adapter.inputs (16 channels, by the tensors 35 channels)"]),
        ("adapter", {"class_token": "pass"}, ['adapter.class_token ("pass", by the tensors "adapt")']),
    ],
)
def test_the_fields_that_the_tensors_contradict_are_named(tiny_model, part, fields, told):
    changed = dataclasses.replace(getattr(tiny_model.config, part), **fields)
    shapes = target_shapes(tiny_model.config)
    found = disagreements(target_shapes(dataclasses.replace(tiny_model.config, **{part: changed})), shapes)
    assert len(found) == len(told)
    for text, start in zip(found, told, strict=True):
        assert text.startswith(start)
    assert disagreements(shapes, shapes) == []


def test_an_adapter_that_only_one_side_has_and_another_width_are_told(tiny_model):
    shapes, vanilla = target_shapes(tiny_model.config), target_shapes(tiny_model.vanilla().config)
    assert disagreements(vanilla, shapes) == ["adapter (null, by the tensors given)"]
    wider = read_config(embedded())[0]
    assert disagreements(target_shapes(wider), shapes) == ["encoder.width and decoder.width (96, by the tensors 16)"]
