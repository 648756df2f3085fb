"""The layers that HandMap networks are made of: residual modules, down-sampling, and the hourglass as a second backbone.

Only operations that TensorRT and INT8 like: convolution, batch norm, ReLU, add, max pool. All take and give (N, C, H, W).
Batch norms here learn a scale too (the original has none): it folds into the convolution at export and costs nothing there.
"""

import torch
from torch import Tensor, nn

BATCH_NORM_EPSILON = 1e-3
BATCH_NORM_MOMENTUM = 0.01


def conv_norm_relu(inputs: int, outputs: int, kernel_px: int | tuple[int, int], stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU; odd kernels keep the size (divided by the stride)."""
    return nn.Sequential(*_conv_norm(inputs, outputs, kernel_px, stride), nn.ReLU(inplace=True))


def _conv_norm(inputs: int, outputs: int, kernel_px: int | tuple[int, int], stride: int) -> tuple[nn.Module, nn.Module]:
    rows_px, columns_px = kernel_px if isinstance(kernel_px, tuple) else (kernel_px, kernel_px)
    padding = (rows_px // 2, columns_px // 2)
    convolution = nn.Conv2d(inputs, outputs, (rows_px, columns_px), stride, padding, bias=False)
    return convolution, nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM)


class BasicResidual(nn.Module):
    """Two 3x3 convolutions around an identity: the residual module of the shipped network.

    Twice the arithmetic of the factorised one of the paper, but four large layers instead of nine small ones:
    on a CPU it trains faster and, per second of training, better.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *conv_norm_relu(channels, channels, 3),
            *_conv_norm(channels, channels, 3, 1),
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return self.relu(x + self.inner(x))  # type: ignore[no-any-return]  # nn.Module calls are untyped


class FactorisedResidual(nn.Module):
    """The residual module RES(c) of the paper: a 1x1 branch beside a 1x1, 1x3, 3x1 branch, mixed and added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.short = conv_norm_relu(channels, half, 1)
        self.long = nn.Sequential(
            conv_norm_relu(channels, half, 1), conv_norm_relu(half, half, (1, 3)), conv_norm_relu(half, half, (3, 1))
        )
        self.mix = nn.Conv2d(channels, channels, 1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        branches = torch.cat([self.short(x), self.long(x)], dim=1)
        return self.relu(x + self.mix(branches))  # type: ignore[no-any-return]  # nn.Module calls are untyped


def conv_pool(channels: int) -> nn.Sequential:
    """CP(c) of the paper: 3x3 convolution to twice the channels, then 3x3 max pool of stride 2.

    `ceil_mode` without padding starts window i at pixel 2 i and cuts the last one off at the border: exactly the SAME
    pooling of TensorFlow on even sizes, as one layer that TensorRT knows.
    """
    return nn.Sequential(conv_norm_relu(channels, 2 * channels, 3), half_size())


def half_size() -> nn.MaxPool2d:
    """3x3 max pool of stride 2 as TensorFlow's SAME does it."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


class Hourglass(nn.Module):
    """HG(c, n) of the paper: half the size n times and back, with a residual skip at each size.

    The transposed convolution pads evenly, one pixel off the original's: the weights that follow learn the shift.
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.skip = FactorisedResidual(channels)
        middle = [Hourglass(2 * channels, depth - 1)] if depth > 1 else []
        self.lower = nn.Sequential(
            half_size(),
            FactorisedResidual(channels),
            conv_norm_relu(channels, 2 * channels, 1),
            *middle,
            conv_norm_relu(2 * channels, channels, 1),
            FactorisedResidual(channels),
            nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1, output_padding=1, bias=False),
            nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape; H and W divisible by 2^depth."""
        return self.skip(x) + self.lower(x)  # type: ignore[no-any-return]  # nn.Module calls are untyped
