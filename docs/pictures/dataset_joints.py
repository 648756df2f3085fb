"""Draws docs/pictures/dataset_joints.png: where the joints of public data sets lie on our hand.

`python -m docs.pictures.dataset_joints` (a few seconds; needs matplotlib). With `--formula` it prints the weights by which ICVL's
centers of phalanges give the joints between them, and how far off they are, on random poses and shapes of our hand model.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from handmap.types.arrays import Float64
from handmap.types.joints import BONES, FINGERS, HAND21
from training.datasets import hands17, icvl, msra, nyu
from training.datasets.public_set import SetFacts
from training.hand.hand_model import load_hand_asset, pose_hand, shape_hand, train_coefficients
from training.hand.poses import COLUMNS, SPLAY, THUMB, bone_angles, sample_any_pose

PICTURE = Path(__file__).with_name("dataset_joints.png")
OPEN_THUMB, OPEN_SPLAY = (5.0, -12.0, 0.0, 5.0, 5.0), (11.0, 2.0, -8.0, -15.0)  # degrees
SAME, COMPUTED, OTHER = "#1f77b4", "#e07b39", "#b03060"
HANDS, FITTED = 12000, 9000

# Where the NYU set's joints lie that are none of ours, from the distances between them in the labels of its test split: TH_KNU2_B is
# 49 mm from the IP joint, PALM_1 and PALM_2 are 35 mm apart at the wrist, PALM_3 is 81 mm from both.
NYU_IP_MM, NYU_WRIST_MM, NYU_PALM_MM = 49.0, 35.3, 79.0


def main() -> None:
    """Draws the picture, or prints the formula."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--formula", action="store_true", help="print the weights for ICVL in place of drawing")
    if parser.parse_args().formula:
        print_formula()
    else:
        draw()


def draw() -> None:
    """Four hands, palm to the camera: a right one but for ICVL."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(13, 5.6), dpi=90, layout="constrained")
    hand = open_hand()
    places = figure.subplots(1, 4, sharey=True)
    places[0].invert_yaxis()
    for axes, facts, others in zip(places, (nyu.FACTS, icvl.FACTS, msra.FACTS, hands17.FACTS), (
        nyu_others(hand), icvl_others(hand), {}, {},
    ), strict=True):  # fmt: skip
        _draw_set(axes, facts, hand, others)
    marks = [
        ("o", SAME, "the set's joint, the same as ours"),
        ("s", COMPUTED, "the set's joint, from which ours are computed"),
        ("D", OTHER, "the set's joint, none of ours"),
        (".", "0.55", "ours, computed"),
        ("x", "0.35", "ours, without a label"),
    ]
    handles = [matplotlib.lines.Line2D([], [], marker=mark, color=color, linestyle="", label=name) for mark, color, name in marks]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=9, columnspacing=1.2)
    figure.savefig(PICTURE)


def open_hand() -> Float64:
    """The joints (21, 3) of the mean hand, open, in the hand frame in mm."""
    asset = load_hand_asset()
    row = np.zeros(COLUMNS)
    row[THUMB] = OPEN_THUMB
    row[SPLAY] = OPEN_SPLAY
    return pose_hand(asset, shape_hand(asset, np.zeros(16)).anchors_mm, bone_angles(row)).joints_mm


def nyu_others(hand: Float64) -> dict[str, Float64]:
    """The NYU set's joints among the published fourteen that are none of ours."""
    wrist, cmc, mcp, ip = (hand[HAND21.index(name)] for name in ("wrist", "thumb_cmc", "thumb_mcp", "thumb_ip"))
    along, across = (one / np.linalg.norm(one) for one in (hand[9] - wrist, hand[5] - hand[17]))
    beyond = NYU_IP_MM - float(np.linalg.norm(mcp - ip))
    return {
        "TH_KNU2_B": mcp + (cmc - mcp) / np.linalg.norm(cmc - mcp) * beyond,
        "PALM_1": wrist - across * NYU_WRIST_MM / 2,
        "PALM_2": wrist + across * NYU_WRIST_MM / 2,
        "PALM_3": wrist + along * NYU_PALM_MM,
    }


def icvl_others(hand: Float64) -> dict[str, Float64]:
    """ICVL's joints: the centers of the phalanges, and the palm's, about there."""
    centers = {
        f"{finger}_{part}": (hand[1 + 4 * number + bone] + hand[2 + 4 * number + bone]) / 2
        for number, finger in enumerate(FINGERS)
        for bone, part in enumerate(("root", "mid", "tip"))
    }
    return {"palm": hand[[0, 5, 9, 13, 17]].mean(axis=0), **centers}


def _draw_set(axes: Any, facts: SetFacts, hand: Float64, others: dict[str, Float64]) -> None:
    is_left = facts.title == "ICVL"
    mirror = -1.0 if is_left else 1.0
    flat = hand[:, :2] * (mirror, 1)
    for start, end in BONES:
        axes.plot(*flat[[start, end]].T, color="0.8", linewidth=7, solid_capstyle="round", zorder=1)
    for place, name in enumerate(HAND21):
        parts = facts.hand21.get(name)
        if parts is None:
            axes.plot(*flat[place], "x", color="0.35", markersize=7, zorder=3)
        elif len(parts) == 1:
            (own,) = parts
            axes.plot(*flat[place], "o", color=SAME, markersize=6, zorder=3)
            _number(axes, own, flat[place], SAME)
        else:
            axes.plot(*flat[place], "o", color="0.55", markersize=3, zorder=2)
    for name, place_mm in others.items():
        is_used = any(facts.joints.index(name) in parts for parts in facts.hand21.values())
        mark, color = ("s", COMPUTED) if is_used else ("D", OTHER)
        at = place_mm[:2] * (mirror, 1)
        axes.plot(*at, mark, color=color, markersize=6, zorder=3)
        _number(axes, facts.joints.index(name), at, color)
    axes.set_title(
        f"{facts.title}, {'left' if is_left else 'right'} hands\nnumbers: places in its files, from 0", fontsize=10
    )
    axes.set_aspect("equal")
    axes.set_axis_off()


def _number(axes: Any, number: int, at: Float64, color: str) -> None:
    axes.annotate(
        str(number), at, xytext=(5, 0), textcoords="offset points", fontsize=9, color=color, va="center", zorder=4
    )


def print_formula() -> None:
    """The least squares fit, and its errors on hands that it was not fitted to."""
    asset, random = load_hand_asset(), np.random.default_rng(0)
    hands = np.stack(
        [
            sample_any_pose(asset, shape_hand(asset, train_coefficients(asset, random)).anchors_mm, random)[1].joints_mm
            for _ in range(HANDS)
        ]
    )
    for title, fingers in (("thumb: CMC, MCP, IP, tip", (0,)), ("finger: MCP, PIP, DIP, tip", (1, 2, 3, 4))):
        joints = np.concatenate([hands[:, 1 + 4 * finger : 5 + 4 * finger] for finger in fingers], axis=1)
        joints = joints.reshape(HANDS, len(fingers), 4, 3)
        centers = (joints[:, :, :-1] + joints[:, :, 1:]) / 2
        for place in range(4):
            weights = fit_weights(centers[:FITTED], joints[:FITTED, :, place])
            made = np.einsum("k,nfkx->nfx", weights, centers[FITTED:])
            off = np.linalg.norm(made - joints[FITTED:, :, place], axis=-1)
            sys.stdout.write(
                f"{title}, joint {place}: weights {np.round(weights, 3)}, mean {off.mean():.1f} mm, 95 % within "
                f"{np.percentile(off, 95):.1f}, rms {np.sqrt((off**2).mean()):.1f}, an error of the centers times "
                f"{np.linalg.norm(weights):.1f}\n"
            )


def fit_weights(centers: Float64, joint: Float64) -> Float64:
    """The weights (3,), of sum 1, by which centers (N, F, 3, 3) best give the joint (N, F, 3)."""
    known = np.stack([(centers[..., end, :] - centers[..., 1, :]).ravel() for end in (0, 2)], axis=1)
    (first, last), *_ = np.linalg.lstsq(known, (joint - centers[..., 1, :]).ravel(), rcond=None)
    return np.array([first, 1 - first - last, last])


if __name__ == "__main__":
    main()
