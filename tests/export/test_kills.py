"""Five kills of each command; `make kill-test` does a hundred."""

from pathlib import Path

import pytest

from tests.kills import NAMES, Job, kill_at_moments, make_jobs

MOMENTS = 5


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    return make_jobs(tmp_path_factory.mktemp("kills"))


@pytest.mark.parametrize("name", NAMES)
def test_killed_command_leaves_the_old_result_or_the_new(jobs: dict[str, Job], name: str) -> None:
    assert kill_at_moments(jobs[name], MOMENTS) == []


def test_a_half_written_result_is_seen(jobs: dict[str, Job], tmp_path: Path) -> None:
    out = jobs["export"].out
    graph = out / "hand.fp32.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1])
    try:
        with pytest.raises(Exception, match="sha256"):
            jobs["export"].judge(out, 0.0)
    finally:
        graph.write_bytes(whole)
