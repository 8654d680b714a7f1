"""Bad input at `compare`, `embed`, `pairwise` and `fit`: what was expected, what came, what to do."""

import numpy as np
import pytest
import torch

import repsim_geo as rg

X = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
EVERY = tuple(rg.available_metrics())
pytestmark = pytest.mark.filterwarnings("ignore::repsim_geo.DegenerateRepresentationWarning")


@pytest.mark.parametrize("method", EVERY)
def test_different_numbers_of_rows(method):
    with pytest.raises(rg.ShapeError, match="got 10 rows and 8 rows.*select the common inputs first"):
        rg.compare(X, X[:8], method)
    with pytest.raises(rg.ShapeError, match=r"reps\[0\] and reps\[1\] must describe the same inputs"):
        rg.pairwise([X, X[:8]], method)


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(method, bad):
    y = X.clone()
    y[3, 1] = bad
    with pytest.raises(ValueError, match="nan or infinity in 1 of 10 rows.*first: row 3"):
        rg.compare(X, y, method)
    with pytest.raises(ValueError, match=r"reps\[1\].* nan or infinity"):
        rg.pairwise([X, y], method)


def test_too_few_rows():
    with pytest.raises(rg.ShapeError, match="needs at least 4 inputs.*got 3"):
        rg.compare(X[:3], X[:3], "angular_cka_debiased")
    for method in EVERY:
        with pytest.raises(rg.ShapeError, match="needs at least"):
            rg.compare(X[:1], X[:1], method)


@pytest.mark.parametrize("method", ["angular_cka", "angular_cka_debiased", "angular_shape"])
@pytest.mark.parametrize("value", [0.0, 1.0, 1e6, 0.1])
def test_constant_representations(method, value):
    with pytest.raises(rg.DegenerateRepresentationError, match="constant.*dead layer"):
        rg.compare(X, torch.full((10, 3), value), method)


def test_constant_representations_are_points_where_size_is_seen():
    for method in ("stress", "size_and_shape"):
        assert float(rg.compare(X, torch.ones(10, 3), method)) > 0
        assert float(rg.compare(torch.ones(10, 2), torch.ones(10, 3), method)) == 0


def test_equidistant_inputs_have_no_debiased_gram_matrix():
    with pytest.raises(rg.DegenerateRepresentationError, match="equally far"):
        rg.compare(torch.eye(10), X, "angular_cka_debiased")
    assert float(rg.compare(torch.eye(10), X, "angular_cka")) > 0


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float16, torch.bfloat16, torch.complex64])
def test_dtypes_that_are_not_real_floats(dtype):
    with pytest.raises(TypeError, match="float32 or float64"):
        rg.compare(X, X.to(dtype))
    with pytest.raises(TypeError, match=r"reps\[1\] must hold float32 or float64"):
        rg.pairwise([X, X.to(dtype)])


def test_mixed_dtypes():
    with pytest.raises(TypeError, match="one dtype, got float32 and float64"):
        rg.compare(X, X.double())


def test_mixed_devices():
    with pytest.raises(ValueError, match="one device, got cpu and meta"):
        rg.compare(X, X.to("meta"))


@pytest.mark.parametrize("bad", [torch.ones(5), torch.tensor(1.0), np.ones(3)])
def test_not_a_matrix(bad):
    with pytest.raises(rg.ShapeError, match=r"must have shape \(m, d\)"):
        rg.compare(X, bad)


def test_empty():
    with pytest.raises(rg.ShapeError, match="must not be empty"):
        rg.compare(torch.ones(10, 0), X)
    with pytest.raises(rg.ShapeError, match="at least one representation"):
        rg.pairwise([])


@pytest.mark.parametrize("bad", ["abc", None, [["a", "b"]], object()])
def test_not_numbers(bad):
    with pytest.raises(TypeError, match=r"y must be a tensor or an array of numbers"):
        rg.compare(X, bad)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(rg.UnknownMetricError, match="no metric called 'cka'. Did you mean 'angular_cka'"):
        rg.compare(X, X, "cka")
    with pytest.raises(rg.UnknownMetricError, match="Did you mean 'stress'"):
        rg.compare(X, X, "stres")
    with pytest.raises(rg.UnknownMetricError, match="Known: angular_cka, "):
        rg.compare(X, X, "entirely different")


def test_options_that_do_not_apply():
    with pytest.raises(TypeError, match="stress has no option 'debiased'. Its options: kernel, rescale"):
        rg.compare(X, X, "stress", debiased=True)
    with pytest.raises(TypeError, match="angular_cka_debiased has no option 'debiased'"):
        rg.compare(X, X, "angular_cka_debiased", debiased=False)
    with pytest.raises(TypeError, match="only to a metric given by name"):
        rg.compare(X, X, rg.Stress(), rescale=True)


def test_something_that_is_no_metric():
    with pytest.raises(TypeError, match="must be a metric's name, a metric, or a pair"):
        rg.compare(X, X, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"whiten": 1.5}, "between 0"),
        ({"whiten": -0.1}, "between 0"),
        ({"p": 0}, "positive whole"),
        ({"p": 2.5}, "positive whole"),
    ],
)
def test_options_out_of_range(options, words):
    for method in ("size_and_shape", "angular_shape"):
        with pytest.raises(ValueError, match=words):
            rg.compare(X, X, method, **options)


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_length_scales_must_be_positive(bad):
    with pytest.raises(ValueError, match="must be positive"):
        rg.RBF(bad)
    with pytest.raises(ValueError, match="must be positive"):
        rg.Median(bad)


def test_length_scale_of_another_type():
    with pytest.raises(TypeError, match="Fixed"):
        rg.RBF([1.0])


def test_median_length_scale_of_mostly_equal_inputs():
    x = torch.zeros(10, 2)
    x[0] = 1.0
    for metric in (rg.AngularCKA(rg.RBF()), rg.Stress(rescale=True)):
        with pytest.raises(rg.DegenerateRepresentationError, match="median distance between inputs is zero"):
            rg.compare(x, X, metric)


def test_images_are_flattened_and_tokens_are_not_guessed():
    images = X.reshape(10, 1, 2, 2)
    assert float(rg.compare(images, X)) < 1e-6
    with pytest.raises(rg.ShapeError, match="one representation"):
        rg.pairwise([X, X.reshape(10, 2, 2)])


def test_batches_have_a_batch_of_distances():
    assert rg.compare(X.expand(3, 10, 4), X).shape == (3,)


def test_numpy_goes_in():
    assert float(rg.compare(X.numpy(), X.numpy())) == 0


def test_registered_metric_is_found_and_names_are_unique():
    from functools import partial

    from repsim_geo.registry import _ENTRIES

    rg.register_metric("five_columns", partial(rg.SizeAndShape, p=5))
    try:
        assert float(rg.compare(X, X, "five-columns")) < 1e-5
        with pytest.raises(ValueError, match="exists already"):
            rg.register_metric("five_columns", rg.Stress)
        with pytest.raises(ValueError, match="exists already"):
            rg.register_metric("procrustes", rg.Stress)
    finally:
        del _ENTRIES["five_columns"]


def test_a_list_of_networks_is_not_one_network():
    networks = [torch.ones(5, 3), torch.ones(5, 4)]
    with pytest.raises(rg.ShapeError, match=r"list of 2.*metric.resolve"):
        rg.AngularCKA().embed(networks)
    assert rg.AngularCKA().embed([torch.eye(5), torch.eye(5)]).shape == (2, 5, 5)
