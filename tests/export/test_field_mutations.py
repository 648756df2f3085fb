"""No field of a bundle, of model metadata or of the configuration is asked for and then ignored."""

import pytest

from handmap.bundle.facts import PROVENANCE
from tests.support.field_mutations import Verdict, all_verdicts, as_text


@pytest.fixture(scope="module")
def verdicts() -> dict[str, list[Verdict]]:
    return all_verdicts()


def test_every_field_is_applied_or_refused(verdicts: dict[str, list[Verdict]]) -> None:
    print(as_text(verdicts).splitlines()[-1])  # noqa: T201  shown by pytest -s

    assert [one for found in verdicts.values() for one in found if one.what == "IGNORED"] == []
    assert all(len(found) > 20 for found in verdicts.values())


def test_what_only_records_is_declared_and_decides_nothing(verdicts: dict[str, list[Verdict]]) -> None:
    recorded = {one.field for found in verdicts.values() for one in found if one.what == "recorded"}

    assert {"Provenance.commit", "Accuracy.dataset", "Gate.dataset", "ModelMetadata.made_from"} <= recorded
    assert {"made_from", "accuracy", "gate.kind", "gate.dataset", "gate.frames"} == PROVENANCE


def test_refusals_are_sentences(verdicts: dict[str, list[Verdict]]) -> None:
    refused = [one for one in verdicts["manifest.json"] if one.what == "refused"]

    assert refused
    assert [one for one in refused if not one.said.startswith("bundle ") or "\n" in one.said] == []
