"""The mean of teachers against its definition, and the loss that pulls a student to it."""

import pytest
import torch
from torch import nn

import repsim_geo as rg
from repsim_geo.errors import DegenerateRepresentationError, ShapeError
from repsim_geo.recipes.distillation import mean_of_teachers
from repsim_geo.recipes.minibatch import MinibatchCKALoss


def layers(m, *widths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(m, 3, dtype=torch.float64, generator=generator)
    maps = [torch.randn(3, d, dtype=torch.float64, generator=generator) for d in widths]
    return [
        torch.tanh(z @ w) + 0.5 * torch.randn(m, w.shape[1], dtype=torch.float64, generator=generator)
        for w in maps
    ]


@pytest.mark.parametrize(
    "method", ["angular_cka", "size_and_shape", "stress", rg.AngularCKA(rg.RBF(2.0))], ids=str
)
def test_no_point_nearby_is_nearer_to_the_teachers(method):
    mean = mean_of_teachers(layers(10, 4, 5, 6), method)
    assert mean.certificate.converged_
    assert float(mean.certificate.gradient_norm_) < 1e-10
    torch.testing.assert_close(mean.distances.square().mean(), mean.certificate.variance_)
    points = torch.stack([mean.metric.embed(x) for x in layers(10, 4, 5, 6)])
    for seed in range(5):
        u = mean.metric.random_tangent(mean.point, torch.Generator().manual_seed(seed))
        near = mean.metric.expmap(mean.point, 1e-2 * u)
        assert float(mean.metric.dist2(points, near).mean()) > float(mean.certificate.variance_)


def test_the_mean_of_two_is_halfway_and_weights_move_it():
    x, y = layers(10, 4, 5)
    d = rg.compare(x, y)
    torch.testing.assert_close(mean_of_teachers([x, y]).distances, (d / 2).expand(2))
    weighted = mean_of_teachers([x, y], weights=[3, 1]).distances
    torch.testing.assert_close(weighted, d * torch.tensor([0.25, 0.75], dtype=d.dtype))


def test_options_reach_the_metric_and_the_loss():
    x, y, z = layers(12, 4, 5, 6)
    mean = mean_of_teachers([x, y], "angular_cka", debiased=True)
    assert mean.metric.debiased
    d = mean.metric.dist(mean.metric.embed(z), mean.point)
    torch.testing.assert_close(mean.loss(squared=False)(z), d)


def test_batches_see_their_rows_of_the_mean():
    x, y, z = layers(12, 4, 5, 6)
    mean = mean_of_teachers([x, y])
    rows = torch.tensor([3, 9, 1, 0, 11, 6])
    target = mean.metric.realize(mean.point)[rows]
    torch.testing.assert_close(mean.loss()(z[rows], rows=rows), rg.compare(z[rows], target).square())


@pytest.mark.parametrize("running", [False, True])
def test_a_student_of_another_width_is_pulled_to_the_mean_in_batches(running):
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    inputs = torch.randn(120, 8, generator=generator)
    teachers = [torch.relu(inputs @ torch.randn(8, d, generator=generator)) for d in (16, 24, 32)]
    mean = mean_of_teachers(teachers)
    student = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 12))
    pull, batch, target = mean.loss(), MinibatchCKALoss(), mean.metric.realize(mean.point)
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-2)

    def distance():
        return float(mean.loss(squared=False)(student(inputs).detach()))

    start = distance()
    for _ in range(25):
        for rows in torch.randperm(120, generator=generator).split(30):
            optimizer.zero_grad()
            h = student(inputs[rows])
            (batch(h, target[rows]) if running else pull(h, rows=rows)).backward()
            optimizer.step()
    assert distance() < 0.4 * start


def test_teachers_keep_their_graphs_to_themselves():
    x, y, z = (w.requires_grad_() for w in layers(10, 4, 5, 6))
    mean_of_teachers([x, y]).loss()(z).backward()
    assert x.grad is None
    assert y.grad is None
    assert z.grad is not None


def test_teachers_that_do_not_fit_are_refused():
    x, y = layers(10, 4, 5)
    with pytest.raises(ShapeError, match="needs at least one teacher, got none"):
        mean_of_teachers([])
    with pytest.raises(
        ShapeError, match=r"teachers\[0\] and teachers\[1\] must describe the same inputs: got 10 rows"
    ):
        mean_of_teachers([x, y[:9]])
    with pytest.raises(DegenerateRepresentationError, match=r"teachers\[1\] is constant"):
        mean_of_teachers([x, torch.zeros_like(y)])
    with pytest.raises(TypeError, match=r"teachers\[1\] must hold float32 or float64"):
        mean_of_teachers([x, y.half()])
