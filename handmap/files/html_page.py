"""Writes a report as one self-contained HTML file with text, tables and images, readable on light and dark screens."""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Final

STYLE: Final = (
    ":root{color-scheme:light dark;--text:#222;--ground:#fff;--line:#ddd;--good:#dff3e0;--bad:#f9dcd6}"
    "@media(prefers-color-scheme:dark){:root{--text:#ddd;--ground:#1b1b1b;--line:#444;--good:#1f3d23;--bad:#4d231b}}"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:var(--text);background:var(--ground)}"
    "table{border-collapse:collapse;margin:1em 0;display:block;overflow-x:auto}"
    "td,th{padding:.2em .8em;border-bottom:1px solid var(--line);text-align:right}"
    "td:first-child,th:first-child{text-align:left}img{max-width:100%;background:#fff;border-radius:4px}"
    "code{font-size:13px;overflow-wrap:anywhere}.passed{background:var(--good);padding:.6em}.failed{background:var(--bad);padding:.6em}"
)
# How every page of ours begins, and no other.
PAGE_START: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="generator" content="HandMap Edge">'
)
PNG: Final = "image/png"
SVG: Final = "image/svg+xml"


def page(title: str, parts: Sequence[str]) -> bytes:
    """The complete HTML file; it begins with PAGE_START."""
    head = (
        f'{PAGE_START}<title>{html.escape(title)}</title><meta name="viewport" content="width=device-width">'
        f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
    )
    body = "\n".join(parts)
    return f"{head}\n{body}\n</body></html>\n".encode()


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


def picture(content: bytes, what: str, media_type: str = PNG) -> str:
    """An embedded PNG or SVG with alternative text."""
    return f'<img alt="{html.escape(what)}" src="data:{media_type};base64,{base64.b64encode(content).decode()}">'


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
