"""Builds the report as one self-contained HTML file with text, tables and images."""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Final

STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0;display:block;overflow-x:auto}td,th{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:right}"
    "td:first-child,th:first-child{text-align:left}img{max-width:100%}code{font-size:13px;overflow-wrap:anywhere}"
    ".passed{background:#dff3e0;padding:.6em}.failed{background:#f9dcd6;padding:.6em}"
)


def page(title: str, parts: Sequence[str]) -> bytes:
    """The complete HTML file."""
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
    body = "\n".join(parts)
    return f"{head}<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>\n{body}\n</body></html>\n".encode()


def heading(text: str) -> str:
    """A second-level heading."""
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph, with a CSS class if one is given."""
    return f'<p class="{kind}">{html.escape(text)}</p>' if kind else f"<p>{html.escape(text)}</p>"


def table(columns: Sequence[str], rows: Mapping[str, Sequence[object]]) -> str:
    """A table whose first column names the row. Floats have three decimals."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        f"<tr><td>{html.escape(name)}</td>{''.join(f'<td>{_shown(value)}</td>' for value in values)}</tr>"
        for name, values in rows.items()
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def picture(content: bytes, what: str) -> str:
    """An embedded PNG with alternative text."""
    return f'<img alt="{html.escape(what)}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return (
        f"{value:.3f}"
        if isinstance(value, float)
        else f"<code>{html.escape(str(value))}</code>"
        if isinstance(value, str)
        else str(value)
    )
