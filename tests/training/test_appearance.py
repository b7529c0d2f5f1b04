"""Numbers of looks: drawn from seed, image and view; each lever leaves the others as they are."""

from dataclasses import replace

import numpy as np
import pytest

from hambatch.pipelines.appearance import SHARPEST, Looks
from hambatch.system.array_cache import Pair
from hambatch.training.appearance import look, looks_of, overlay, stretched
from hambatch.training.view_options import Appearance
from tests.training.finetuning.tiny import OPTIONS, TUNE, tuning_data

SHA256 = [f"{k:064x}" for k in range(400)]
ALL = Appearance(0.8, 0.2, 0.5, 2.0, 0.4, 30, 0.5, 0.5)


def looks(options: Appearance, seed: int = 0, view: int = 1) -> np.ndarray:
    """Numbers of 400 images, ``[400, 7]``."""
    return np.array([look(options, seed, sha256, view, 224) for sha256 in SHA256])


def test_by_default_there_is_no_step() -> None:
    assert looks_of(Appearance()) == Looks()
    assert looks_of(ALL) == Looks(*[True] * 6)
    assert looks_of(Appearance(hair_share=0.1)) == Looks(overlay=True)
    assert not looks_of(Appearance(hair_share=0.1)).has_numbers


def test_numbers_are_within_their_ranges_and_fill_them() -> None:
    constancy, red, green, blue, blur, side, quality = looks(ALL).T
    for values, low, high in (
        (constancy, 0, 0.8),
        (red, 0.8, 1.2),
        (green, 0.8, 1.2),
        (blue, 0.8, 1.2),
        (blur[blur > SHARPEST], 0, 2.0),
        (side[side < 224], 0.4 * 224, 224),
        (quality[quality > 0], 30, 95),
    ):
        assert low - 0.5 * (high > 2) <= values.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < values.max() <= high
    for share in ((blur > SHARPEST).mean(), (side < 224).mean(), (quality > 0).mean()):
        assert share == pytest.approx(0.5, abs=0.08)


def test_a_view_has_the_same_look_every_time_and_another_view_another() -> None:
    np.testing.assert_array_equal(looks(ALL), looks(ALL))
    for others in (looks(ALL, seed=1), looks(ALL, view=2)):
        assert (others[:, 0] != looks(ALL)[:, 0]).all()


@pytest.mark.parametrize(
    ("name", "value", "changes"),
    [
        ("shades_of_grey", 0.0, {0}),
        ("tint", 0.0, {1, 2, 3}),
        ("blur", 0.0, {4}),
        ("lowest_scale", 1.0, {5}),
        ("lowest_quality", 0, {6}),
        ("hair_share", 0.0, set()),
    ],
)
def test_switching_one_off_leaves_the_others(name: str, value: float, changes: set[int]) -> None:
    before, after = looks(ALL), looks(replace(ALL, **{name: value}))
    differing = set(np.flatnonzero((before != after).any(axis=0)).tolist())
    assert differing == changes


def test_hairs_rulers_and_borders_are_on_as_many_views_as_asked_for() -> None:
    for what in ("hair_share", "ruler_share", "border_share"):
        options = Appearance(**{what: 0.5})
        opaque = [overlay(options, 0, sha256, 1, 64)[..., 3] for sha256 in SHA256[:100]]
        share = np.mean([layer.any() for layer in opaque])
        assert share == pytest.approx(0.5, abs=0.15)
        assert all((layer == 0).mean() > 0.5 for layer in opaque), "most of the skin stays"
    corners = overlay(Appearance(border_share=1.0), 0, SHA256[0], 1, 64)[[0, -1], [0, -1]]
    assert (corners[:, 3] == 255).all()
    assert (corners[:, :3] < 20).all()


def test_views_of_a_training_look_so_and_are_the_same_again(tmp_path) -> None:
    data = tuning_data(tmp_path)
    pairs = [Pair(image, 1) for image in data.train[:8]]
    changed = replace(OPTIONS, finetune=replace(TUNE, appearance=ALL))
    (plain,) = data.views.batches(pairs, jitter=True)
    views = replace(data.views, options=changed)
    (first,), (again,) = (list(views.batches(pairs, jitter=True)) for _ in range(2))
    assert all((first[k] != plain[k]).any() for k in range(8))
    np.testing.assert_array_equal(first, again)
    (crops,) = views.batches(pairs, jitter=True, side=96)
    assert crops.shape == (8, 96, 96, 3)
    # Plain images, by which it is validated, never do.
    np.testing.assert_array_equal(views.on_cpu(data.val), data.views.on_cpu(data.val))


def test_a_view_is_stretched_about_its_centre_and_keeps_its_area() -> None:
    options, whole = Appearance(stretch=0.5), np.eye(2, 3, dtype=np.float32)
    found = np.array([stretched(options, whole, 0, sha256, 1, 224) for sha256 in SHA256])
    np.testing.assert_allclose(found @ [112, 112, 1], np.full((400, 2), 112), atol=1e-3)
    np.testing.assert_allclose(np.linalg.det(found[:, :, :2]), 1, atol=1e-5)
    aspects = found[:, 0, 0] / found[:, 1, 1]
    assert 1 / 1.5 <= aspects.min() < 0.7
    assert 1.45 < aspects.max() <= 1.5


def test_a_plain_image_is_not_stretched() -> None:
    whole = np.eye(2, 3, dtype=np.float32)
    assert (stretched(Appearance(stretch=0.5), whole, 0, SHA256[0], 0, 224) == whole).all()
