"""The CUDA kernel of the geodesic on a card, against fast marching, and on torch's own stream."""

from types import ModuleType

import numpy as np
import pytest

from tests.training.silhouettes import silhouettes
from training.network.geodesic import geodesic_closeness

pytestmark = pytest.mark.gpu
CLOSE = 1e-5


def test_it_ends_where_fast_marching_does(torch: ModuleType) -> None:
    from training.network.device_guidance import iterate_closeness
    from training.network.geodesic_kernel import kernel_closeness

    hard = silhouettes(count=256, joints=21)
    wanted = geodesic_closeness(hard.hands, hard.cells)
    hands, cells = torch.from_numpy(hard.hands).cuda(), torch.from_numpy(hard.cells).cuda()

    for closeness in (kernel_closeness, iterate_closeness):
        np.testing.assert_allclose(closeness(hands, cells).cpu().numpy(), wanted, atol=CLOSE)


def test_it_waits_for_what_torch_computes_and_torch_for_it(torch: ModuleType) -> None:
    from training.network.geodesic_kernel import kernel_closeness

    hard = silhouettes(count=64, joints=21)
    wanted = geodesic_closeness(hard.hands, hard.cells).sum()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(20):
            hands = torch.zeros(64, 32, 32, dtype=torch.bool, device="cuda")
            matrix = torch.ones(2048, 2048, device="cuda")
            for _ in range(10):
                matrix = matrix @ matrix / 2048  # keeps the stream busy
            hands |= torch.from_numpy(hard.hands).cuda() & (matrix[0, 0] > 0)
            found = kernel_closeness(hands, torch.from_numpy(hard.cells).cuda()).sum()
            assert found.item() == pytest.approx(wanted, rel=1e-5)


def test_an_empty_batch_is_an_empty_answer(torch: ModuleType) -> None:
    from training.network.geodesic_kernel import kernel_closeness

    nothing = torch.zeros(0, 32, 32, dtype=torch.bool, device="cuda")

    assert kernel_closeness(nothing, torch.zeros(0, 21, 2, dtype=torch.int64, device="cuda")).shape == (0, 21, 32, 32)
