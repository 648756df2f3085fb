"""The training data of the Hands In the Million challenge 2017: `hands17:/path[,split=train|first90|last10][,centers=FILE]`.

Yuan et al., BigHand2.2M Benchmark, CVPR 2017. The labels of the challenge's test frames are not public; HandMap was trained on
the first nine tenths of the training frames and tested on the last, and so are first90 and last10.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handmap.recording.datasets import Dataset, split_options
from handmap.recording.label_lines import LabelLine, LineLayout, parse_line, read_lines, refuse_depths, refuse_repeated
from handmap.types.errors import DatasetError
from handmap.types.intrinsics import Intrinsics
from handmap.types.joints import FINGERS
from handmap.types.values import Handedness

from .centers import place_cubes
from .public_set import IMAGE_FIX, LINE_FIX, PublicSet, SetFacts, SetFrame, joint_notes, open_folder, read_published_png

CUBE_MM: Final = 240.0  # HandMap's; V2V-PoseNet and others take 250
SIDES: Final = "240 mm"
LABELS: Final = Path("training", "Training_Annotation.txt")
IMAGES: Final = Path("training", "images")
LAYOUT: Final = LineLayout((63,), "an image and 63 numbers, x y z in mm of 21 joints", LINE_FIX)
SPLITS: Final = ("train", "first90", "last10")
OPTIONS: Final = {"split": "train, first90 or last10", "centers": "FILE of published centers"}

# The wrist, the fingers' MCPs (the thumb's first), then PIP, DIP and tip of each; "MCP" of its thumb is our CMC.
ENDS: Final = {**{finger: ("pip", "dip", "tip") for finger in FINGERS}, "thumb": ("mcp", "ip", "tip")}
JOINTS: Final = (
    "wrist",
    *(f"{finger}_{'cmc' if finger == 'thumb' else 'mcp'}" for finger in FINGERS),
    *(f"{finger}_{part}" for finger in FINGERS for part in ENDS[finger]),
)

FACTS: Final = SetFacts(
    title="HANDS17",
    intrinsics=Intrinsics(640, 480, 475.065948, 475.065857, 315.944855, 245.287079),
    handedness=Handedness.RIGHT,
    joints=JOINTS,
    hand21={name: {place: 1.0} for place, name in enumerate(JOINTS)},
    doubt_mm={},
    is_y_up=False,
    layout=f"{LABELS} and {IMAGES}/image_D00000001.png and so on",
    image_fix=IMAGE_FIX,
)


@dataclass(frozen=True)
class Hands17Frames:
    """All training frames: each a line of the labels."""

    folder: Path
    lines: tuple[LabelLine, ...]

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, index: int) -> SetFrame:
        path, line = self.folder / LABELS, self.lines[index]
        name, values = parse_line(path, line, LAYOUT)
        joints = values.reshape(-1, 3)
        refuse_depths(path, line, LAYOUT, joints[:, 2], JOINTS)
        return SetFrame(self.folder / IMAGES / name, joints, CUBE_MM, f"line {line.number} of {str(path)!r}")


def open_hands17(which: str) -> Dataset:
    """The data set `hands17:which`; without options all training frames.

    Raises DatasetError if the folder, the labels or an option are not as published.
    """
    name = f"hands17:{which}"
    path, options = split_options(which, OPTIONS, name)
    folder = open_folder(name, path, FACTS)
    split = options.get("split", "train")
    if split not in SPLITS:
        unlabeled = "the labels of the test frames are not public; " if split == "test" else ""
        raise DatasetError(
            f"data set {name!r}: split={split}; {unlabeled}wanted {', '.join(SPLITS[:-1])} or {SPLITS[-1]}"
        )
    frames = Hands17Frames(folder, tuple(read_lines(folder / LABELS, LAYOUT, f"name a folder with {FACTS.layout}")))
    refuse_repeated(((folder / LABELS, line) for line in frames.lines), LAYOUT)
    tenth = len(frames) - len(frames) // 10
    kept = {"train": range(len(frames)), "first90": range(tenth), "last10": range(tenth, len(frames))}[split]
    data = PublicSet(name, FACTS, frames, read_published_png, kept, joint_notes(FACTS))
    return place_cubes(data, SIDES, options.get("centers"))
