"""A board's files as the doctor finds them: running, or as an image."""

from runtime.doctor import Report, examine
from runtime.doctor_machine import Machine
from runtime.doctor_patient import Patient
from tests.support.board_tree import Tree


def run(tree: Tree) -> Report:
    """What is found on the board while it runs."""
    return examine(Patient(Machine(tree.root)))


def image(tree: Tree) -> Report:
    """What is found in its image."""
    tree.remove("dev", "proc", "run", "sys")
    return examine(Patient(Machine(tree.root, is_running=False)))
