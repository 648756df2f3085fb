"""A board's files as the doctor finds them: running, or as an image."""

from runtime.doctor.machine import Machine
from runtime.doctor.patient import Patient
from runtime.doctor.report import Report, examine
from tests.support.board_tree import Tree


def run(tree: Tree) -> Report:
    """What is found on the board while it runs."""
    return examine(Patient(Machine(tree.root)))


def image(tree: Tree) -> Report:
    """What is found in its image."""
    tree.remove("dev", "proc", "run", "sys")
    return examine(Patient(Machine(tree.root, is_running=False)))
