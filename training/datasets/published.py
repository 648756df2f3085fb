"""Facts of the public hand data sets as others use them: joints in file order, the evaluator's intrinsics, published means.

Sources. NYU: Tompson et al., SIGGRAPH 2014. ICVL: Tang et al., CVPR 2014. MSRA15: Sun et al., CVPR 2015. Joint orders,
intrinsics, frame counts and means are those of the evaluator and tables in the public repository
xinghaochen/awesome-hand-pose-estimation, folder evaluation (MIT license), which scores result files of the papers' authors; as
of March 2025. A mean is over all joints of all test frames, in mm. Readers of the sets themselves live beside this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from handmap.types.intrinsics import Intrinsics
from handmap.types.joints import FINGERS


@dataclass(frozen=True)
class PublishedMean:
    """A method's mean error in mm, and where and when the method was published."""

    method: str
    venue: str
    mean_mm: float


@dataclass(frozen=True)
class PublishedSet:
    """A public test set as the field scores it.

    joint_names are in file order, with the name of hand21 where it is the same joint. evaluator_intrinsics have v down; means are
    sorted, smallest first.
    """

    name: str
    joint_names: tuple[str, ...]
    evaluator_intrinsics: Intrinsics
    test_frames: int
    means: tuple[PublishedMean, ...]


# 14 of 36 joints, in ascending original id: 0, 3, 6, 9, 12, 15, 18, 21, 24, 25, 27, 30, 31, 32.
_NYU_JOINTS: Final = (
    *("little_tip", "little_pip", "ring_tip", "ring_pip", "middle_tip", "middle_pip", "index_tip", "index_pip"),
    *("thumb_tip", "thumb_ip", "thumb_root", "wrist_2", "wrist_1", "palm"),
)
_ICVL_JOINTS: Final = ("palm", *(f"{finger}_{part}" for finger in FINGERS for part in ("root", "mid", "tip")))
_MSRA_JOINTS: Final = (
    "wrist",
    *(f"{finger}_{part}" for finger in FINGERS[1:] for part in ("mcp", "pip", "dip", "tip")),
    *("thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip"),
)

_NYU_MEANS: Final = (
    PublishedMean("FeatureMapping", "CVPR 2018", 7.441),
    PublishedMean("TriHorn-Net", "arXiv 2022", 7.68),
    PublishedMean("V2V-PoseNet, ensemble", "CVPR 2018", 8.419),
    PublishedMean("Point-to-Point", "ECCV 2018", 9.045),
    PublishedMean("SRNet", "TMM 2021", 9.173),
    PublishedMean("SHPR-Net, three views", "Access 2018", 9.371),
    PublishedMean("WHSP-Net", "Sensors 2019", 9.421),
    PublishedMean("MURAUER", "WACV 2019", 9.466),
    PublishedMean("CrossInfoNet", "CVPR 2019", 10.078),
    PublishedMean("DenseReg", "CVPR 2018", 10.214),
    PublishedMean("HandPointNet", "CVPR 2018", 10.540),
    PublishedMean("SHPR-Net", "Access 2018", 10.775),
    PublishedMean("Generalized-Feedback", "TPAMI 2019", 10.894),
    PublishedMean("Pose-REN", "Neurocomputing 2018", 11.811),
    PublishedMean("DeepPrior++", "ICCVW 2017", 12.238),
    PublishedMean("REN-9x6x6", "JVCI 2018", 12.694),
    PublishedMean("REN-4x6x6", "ICIP 2017", 13.393),
    PublishedMean("3DCNN", "CVPR 2017", 14.113),
    PublishedMean("DeepHPS", "3DV 2018", 14.415),
    PublishedMean("Lie-X", "IJCV 2017", 14.507),
    PublishedMean("Guo, baseline", "ICIP 2017", 14.588),
    PublishedMean("Feedback", "ICCV 2015", 15.973),
    PublishedMean("DeepModel", "IJCAI 2016", 17.036),
    PublishedMean("DeepPrior, refined", "CVWW 2015", 19.726),
    PublishedMean("DeepPrior", "CVWW 2015", 20.750),
)
_ICVL_MEANS: Final = (
    PublishedMean("TriHorn-Net", "arXiv 2022", 5.73),
    PublishedMean("SRNet", "TMM 2021", 6.152),
    PublishedMean("V2V-PoseNet", "CVPR 2018", 6.284),
    PublishedMean("Point-to-Point", "ECCV 2018", 6.328),
    PublishedMean("CrossInfoNet", "CVPR 2019", 6.732),
    PublishedMean("Pose-REN", "Neurocomputing 2018", 6.791),
    PublishedMean("HandPointNet", "CVPR 2018", 6.935),
    PublishedMean("SHPR-Net", "Access 2018", 7.219),
    PublishedMean("DenseReg", "CVPR 2018", 7.239),
    PublishedMean("REN-9x6x6", "JVCI 2018", 7.305),
    PublishedMean("REN-4x6x6", "ICIP 2017", 7.628),
    PublishedMean("Guo, baseline", "ICIP 2017", 8.358),
    PublishedMean("DeepModel", "IJCAI 2016", 11.561),
    PublishedMean("LRF", "CVPR 2014", 12.578),
)
_MSRA_MEANS: Final = (
    PublishedMean("TriHorn-Net", "arXiv 2022", 7.13),
    PublishedMean("DenseReg", "CVPR 2018", 7.234),
    PublishedMean("Point-to-Point", "ECCV 2018", 7.707),
    PublishedMean("SHPR-Net", "Access 2018", 7.756),
    PublishedMean("CrossInfoNet", "CVPR 2019", 7.862),
    PublishedMean("SRNet", "TMM 2021", 7.985),
    PublishedMean("HandPointNet", "CVPR 2018", 8.505),
    PublishedMean("Pose-REN", "Neurocomputing 2018", 8.649),
    PublishedMean("3DCNN", "CVPR 2017", 9.584),
    PublishedMean("REN-9x6x6", "JVCI 2018", 9.792),
)

# The evaluator has fy = -587.07 for NYU, whose own y is up; mirroring prediction and label alike changes no distance. For ICVL
# it has 240.99 and 240.96, where most readers and networks use 241.42, as for MSRA15: the same kind of camera.
PUBLISHED_SETS: Final[Mapping[str, PublishedSet]] = MappingProxyType(
    {
        "nyu": PublishedSet("NYU", _NYU_JOINTS, Intrinsics(640, 480, 588.03, 587.07, 320, 240), 8252, _NYU_MEANS),
        "icvl": PublishedSet("ICVL", _ICVL_JOINTS, Intrinsics(320, 240, 240.99, 240.96, 160, 120), 1596, _ICVL_MEANS),
        "msra": PublishedSet(
            "MSRA15", _MSRA_JOINTS, Intrinsics(320, 240, 241.42, 241.42, 160, 120), 76375, _MSRA_MEANS
        ),
    }
)
