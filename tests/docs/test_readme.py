"""The first things that a stranger tries and sees: the README's program, its picture, the citation."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from handmap.recording.reader import open_recording
from handmap.types.joints import HAND21

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
INDEX_TIP = HAND21.index("index_tip")


def test_the_program_in_the_readme_tracks_the_hand() -> None:
    program, _ = re.findall(
        r"```python\n(.+?)```", README, re.DOTALL
    )  # the receiver's is in tests/handmap/client/test_page.py

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )

    rows = [line.split() for line in done.stdout.splitlines()]
    truth = {
        one.frame.frame_number: one.xyz_camera_mm[INDEX_TIP]
        for one in open_recording(ROOT / "models/demo_recording").labeled()
    }
    errors_mm = [np.linalg.norm(np.array(row[2:], float) - truth[int(row[0])]) for row in rows]
    assert len(rows) >= 0.95 * len(truth)
    assert {row[1] for row in rows} == {"RIGHT"}
    assert np.median(errors_mm) < 10


def test_the_program_of_the_library_s_page_runs() -> None:
    (program,) = re.findall(r"```python\n(.+?)```", (ROOT / "docs/library.md").read_text(), re.DOTALL)

    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nprint(len(hands))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )

    assert done.stdout == "1\n"


def test_the_moving_picture_is_small_and_moves() -> None:
    (name,) = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)

    with Image.open(ROOT / name) as picture:
        width, frames = picture.width, getattr(picture, "n_frames", 1)

    assert width >= 640
    assert frames > 50
    assert (ROOT / name).stat().st_size < 2_000_000


@pytest.mark.parametrize("key", ["cff-version", "message", "title", "authors", "license", "references"])
def test_the_citation_has_what_cff_1_2_asks_for(key: str) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())

    assert citation["cff-version"] == "1.2.0"
    assert citation[key]
    assert [one["title"][:7] for one in citation["references"]] == ["HandMap"]
