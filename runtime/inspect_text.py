"""The report of `handmap inspect` as text."""

from typing import Any


def format_inspection(report: dict[str, Any]) -> str:
    """Topics first, then what is read and why."""
    lines = [f"recording {report['recording']}"]
    for one in report["topics"]:
        facts = [f"{key} {value}" for key, value in one.items() if key not in ("topic", "type")]
        lines.append(f"  {one['topic']}  {one['type']}  {', '.join(facts)}")
    if report["fault"] is not None:
        return "\n".join([*lines, f"cannot be read: {report['fault']}"])
    why = report["why"]
    lens = report["intrinsics"]
    numbers = ", ".join(f"{key} {value:g}" for key, value in lens.items())
    if "topic" in report:
        lines.append(f"depth       {report['topic']}: {why['topic']}")
    lines.append(
        f"frames      {report['frames']} at {report['fps']:g} frames/s; clock: {why.get('clock', 'by the frame rate')}"
    )
    lines.append(f"intrinsics  {numbers}; {why.get('intrinsics', 'as given')}")
    bent = report["distortion_undone"]
    lines.append(f"distortion  {'none' if bent is None else '{model} {coefficients}, undone'.format(**bent)}")
    lines.append(f"unit        {report['depth_unit_mm']:g} mm a step: {why.get('unit', 'as given')}")
    steps = [f"{one['seconds']:+g} s before frame {one['frame']}" for one in report["clock_steps"]]
    lines.append(f"clock steps {'; '.join(steps) or 'none'}")
    shares = {
        "not measured" if name == "none" else f"{name} mm": one for name, one in report["depth_histogram"].items()
    }
    lines.append(f"pixels      {', '.join(f'{name} {share:.1%}' for name, share in shares.items() if share >= 0.001)}")
    return "\n".join([*lines, *([f"note: {report['note']}"] if report["note"] else [])])
