"""A board's files as the doctor finds them: running, or as an image."""

from runtime.doctor.context import DoctorContext
from runtime.doctor.machine import Machine
from runtime.doctor.report import Report, run_checks
from tests.support.board_tree import Tree


def run(tree: Tree) -> Report:
    """What is found on the board while it runs."""
    return run_checks(DoctorContext(Machine(tree.root)))


def image(tree: Tree) -> Report:
    """What is found in its image."""
    tree.remove("dev", "proc", "run", "sys")
    return run_checks(DoctorContext(Machine(tree.root, is_running=False)))
