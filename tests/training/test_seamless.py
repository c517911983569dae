"""The project's own network."""

import numpy as np
import pytest
import torch

from training.models import Seamless, SeamlessConfig
from training.models.seamless import box_sum


def network(seed: int = 0) -> Seamless:
    """A network of random weights whose correction is as large as what it corrects."""
    torch.manual_seed(seed)
    model = Seamless(SeamlessConfig(maps=6)).double().eval()
    torch.nn.init.normal_(model.head.weight, std=0.3)
    torch.nn.init.normal_(model.rain.weight, std=0.3)
    return model


def inputs(size: int, seed: int = 1) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    mask = (torch.rand(1, 9, size, size) < 0.3).double()
    rain_mask = torch.ones_like(mask)
    return {
        "sm": torch.rand_like(mask) * 0.6,
        "mask": mask,
        "land": torch.ones(1, size, size).double(),
        "precip": torch.rand_like(mask) * 30,
        "precip_mask": rain_mask,
    }


def test_the_halo_holds_everything_that_reaches_an_output() -> None:
    """Gradients of the core's corner and centre blocks end inside the halo, and come near its edge."""
    model, given = network(), inputs(2 * 32 + 8)
    given["sm"].requires_grad_(True)
    given["precip"].requires_grad_(True)
    filled, _, sigma = model(**given)
    assert filled.shape == (1, 8, 8)
    for row, col in ((0, 0), (3, 4), (7, 7)):
        output = filled[0, row, col] + sigma[0, row, col]
        gradients = torch.autograd.grad(output, [given["sm"], given["precip"]], retain_graph=True)
        reach = sum(g.abs().sum((0, 1)) for g in gradients)
        rows, cols = torch.nonzero(reach, as_tuple=True)  # type: ignore[arg-type]
        for cells, centre in ((rows, row + 32), (cols, col + 32)):
            assert cells.min() >= centre - 31
            assert cells.max() <= centre + 31
        assert (rows - row - 32).abs().max() >= 20, "the halo is not far too wide"


def test_absent_rain_adds_nothing_and_no_rain_is_not_absent_rain() -> None:
    model, given = network(), inputs(72)
    absent = model(**{**given, "precip": given["precip"] * torch.nan, "precip_mask": given["precip_mask"] * 0})
    with torch.no_grad():
        model.rain.weight.zero_()
    unheard = model(**given)
    for one, other in zip(absent, unheard, strict=True):
        torch.testing.assert_close(one, other)
    dry = network()(**{**given, "precip": given["precip"] * 0})
    assert not torch.allclose(dry[0], absent[0])


@pytest.mark.parametrize("junk", [torch.nan, torch.inf, -32767.0])
def test_holes_may_hold_anything(junk: float) -> None:
    model, given = network(), inputs(72)
    clean = model(**given)
    dirty = model(**{**given, "sm": torch.where(given["mask"] > 0, given["sm"], junk)})
    for one, other in zip(clean, dirty, strict=True):
        assert torch.equal(one, other)
        assert torch.isfinite(one).all()


def test_what_is_reached_lies_within_eight_cells_of_an_observation_on_land() -> None:
    given = inputs(104)
    given["mask"] *= 0
    given["mask"][0, 2, 50, 52] = 1
    given["land"][0, 45, 45] = 0
    _, reached, sigma = network()(**given)
    expected = np.zeros((104, 104))
    expected[42:59, 44:61] = 1
    expected[45, 45] = 0
    np.testing.assert_array_equal(reached[0].numpy(), expected[32:-32, 32:-32])
    assert (sigma >= 0.005).all()


def test_box_sums_by_hand() -> None:
    x = torch.rand(1, 1, 12, 9).double()
    padded = np.pad(x[0, 0].numpy(), 3)
    expected = [[padded[r : r + 7, c : c + 7].sum() for c in range(9)] for r in range(12)]
    np.testing.assert_allclose(box_sum(x, 7)[0, 0].numpy(), expected, rtol=1e-12)


def test_without_a_correction_it_is_the_masked_mean() -> None:
    model, given = network(), inputs(72)
    with torch.no_grad():
        model.head.weight.zero_()
    filled, _, _ = model(**given)
    core = (slice(None), slice(None), slice(32, 40), slice(32, 40))
    sm, mask = given["sm"][core], given["mask"][core]
    seen = mask.sum(1) > 0
    torch.testing.assert_close(filled[seen], ((sm * mask).sum(1) / mask.sum(1))[seen])


def test_sigma_scale_scales_sigma_alone() -> None:
    model, given = network(), inputs(72)
    with torch.no_grad():
        model.head.weight[1] *= 0.01
    filled, _, sigma = model(**given)
    model.sigma_scale *= 1.5
    again, _, wider = model(**given)
    assert torch.equal(filled, again)
    torch.testing.assert_close(wider, (1.5 * sigma).clamp(max=1))
