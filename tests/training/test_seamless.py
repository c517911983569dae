"""The project's own network."""

import numpy as np
import pytest
import torch

from training.evaluate.references import weighted_mean
from training.models import Seamless, SeamlessConfig
from training.models.seamless import _box


def network(seed: int = 0) -> Seamless:
    """A network of random weights whose correction is as large as what it corrects."""
    torch.manual_seed(seed)
    model = Seamless(SeamlessConfig(maps=(6, 6, 6), width=8)).double().eval()
    torch.nn.init.normal_(model.rain.weight, std=0.3)
    torch.nn.init.normal_(model.head.weight, std=0.3)
    with torch.no_grad():
        model.head.weight[1] *= 0.02  # sigma stays within its limits
    return model


def inputs(size: int, seed: int = 1) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    mask = (torch.rand(1, 17, size, size) < 0.1).double()
    rain_mask = torch.ones_like(mask)
    return {
        "sm": torch.rand_like(mask) * 0.6,
        "mask": mask,
        "land": torch.ones(1, size, size).double(),
        "precip": torch.rand_like(mask) * 30,
        "precip_mask": rain_mask,
    }


def test_the_halo_holds_everything_that_reaches_an_output() -> None:
    """What lies outside the halo of a cell does not change it; what lies some way inside does."""
    model, given = network(seed=1), inputs(2 * 64 + 8)
    filled, _, sigma = model(**given)
    assert filled.shape == (1, 8, 8)
    far = torch.arange(2 * 64 + 8)
    for row in (0, 3, 7):
        for reach, same in ((64, True), (32, False)):
            outside = (far - row - 64).abs() > reach
            other = {
                **given,
                "sm": given["sm"].clone(),
                "mask": given["mask"].clone(),
                "precip": given["precip"].clone(),
            }
            other["sm"][:, :, outside] = 0.9
            other["mask"][:, :, outside] = 1 - other["mask"][:, :, outside]
            other["precip"][:, :, outside] = 0
            changed, _, uncertain = model(**other)
            assert torch.equal(changed[:, row], filled[:, row]) is same
            assert torch.equal(uncertain[:, row], sigma[:, row]) is same


def test_absent_rain_adds_nothing_and_no_rain_is_not_absent_rain() -> None:
    model, given = network(), inputs(136)
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
    model, given = network(), inputs(136)
    clean = model(**given)
    dirty = model(**{**given, "sm": torch.where(given["mask"] > 0, given["sm"], junk)})
    for one, other in zip(clean, dirty, strict=True):
        assert torch.equal(one, other)
        assert torch.isfinite(one).all()


def test_what_is_reached_lies_within_seven_cells_of_an_observation_on_land() -> None:
    given = inputs(168)
    given["mask"] *= 0
    given["mask"][0, 2, 82, 84] = 1
    given["land"][0, 77, 77] = 0
    _, reached, sigma = network()(**given)
    expected = np.zeros((168, 168))
    expected[75:90, 77:92] = 1
    expected[77, 77] = 0
    np.testing.assert_array_equal(reached[0].numpy(), expected[64:-64, 64:-64])
    assert (sigma >= 0.005).all()


def test_box_means_by_hand() -> None:
    x = torch.rand(1, 1, 12, 9).double()
    padded = np.pad(x[0, 0].numpy(), 3)
    expected = [[padded[r : r + 7, c : c + 7].mean() for c in range(9)] for r in range(12)]
    np.testing.assert_allclose(_box(x, 7)[0, 0].numpy(), expected, rtol=1e-12)


def test_without_a_correction_it_is_the_weighted_mean() -> None:
    model, given = network(), inputs(136)
    with torch.no_grad():
        model.head.weight.zero_()
    filled, _, _ = model(**given)
    frames = torch.where(given["mask"] > 0, given["sm"], torch.nan)[0].float().numpy()
    expected = weighted_mean(frames)[64:72, 64:72]
    known = np.isfinite(expected)
    np.testing.assert_allclose(filled[0].detach().numpy()[known], expected[known], rtol=1e-5)


def test_in_training_single_cells_get_what_the_whole_day_gets() -> None:
    model, given = network(), inputs(136)
    where = torch.zeros(1, 136, 136, dtype=torch.bool)
    where[0, 64, 64:72] = True
    normal, reached, log_sigma = model.at_cells(**given, where=where)
    filled, everywhere, sigma = model(**given)
    torch.testing.assert_close(normal * model.config.sm_std, filled[0, 0].to(normal.dtype), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(reached, everywhere[0, 0])
    expected = (torch.exp(log_sigma) * model.config.sm_std).clamp(0.005, 1)
    torch.testing.assert_close(expected, sigma[0, 0].to(expected.dtype), rtol=1e-4, atol=1e-6)


def test_sigma_scale_scales_sigma_alone() -> None:
    model, given = network(), inputs(136)
    with torch.no_grad():
        model.head.weight[1] *= 0.01
    filled, _, sigma = model(**given)
    model.sigma_scale *= 1.5
    again, _, wider = model(**given)
    assert torch.equal(filled, again)
    torch.testing.assert_close(wider, (1.5 * sigma).clamp(max=1))
