"""The workspace's documents in a browser, line by line, so that links to lines lead there.

``/docs/PATH`` shows a document; ``#L3-L9`` marks lines of it. Everything is escaped.
"""

import base64
import hashlib
import html

from aiohttp import web

from sandbox.demo_data import DOCS

_SCRIPT = """
function mark() {
  const found = /^#L(\\d+)(?:-L(\\d+))?$/.exec(location.hash)
  const first = found ? Number(found[1]) : 0, last = found ? Number(found[2] || found[1]) : -1
  document.querySelectorAll("li").forEach((line, at) =>
    line.classList.toggle("linked", at + 1 >= first && at + 1 <= last))
  const top = document.querySelector(".linked")
  if (top) top.scrollIntoView({block: "center"})
}
addEventListener("hashchange", mark)
mark()
"""
_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_HASH}'",
    "X-Frame-Options": "DENY",
}
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 52rem; padding: 0 1rem; color: #1d1c1d }
h1 { font-size: 1.2rem } ol { font: 13px/1.5 ui-monospace, monospace; padding-left: 3.5rem }
li { white-space: pre-wrap; padding: 0 .4rem } li::marker { color: #888 } li.linked { background: #fff8e1 }
"""


def doc_routes() -> list[web.RouteDef]:
    """The documents' routes."""
    return [web.get("/docs", _index), web.get("/docs/{name}", _document)]


async def _index(request: web.Request) -> web.Response:
    names = sorted(path.name for path in DOCS.glob("*.md"))
    rows = "".join(f'<li><a href="/docs/{html.escape(name)}">{html.escape(name)}</a></li>' for name in names)
    return _page("Documentation", f"<ul>{rows}</ul>")


async def _document(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    found = next((path for path in DOCS.glob("*.md") if path.name == name), None)
    if found is None:
        raise web.HTTPNotFound(text="there is no such document")
    return show_lines(name, found.read_text("utf-8"))


def show_lines(title: str, text: str) -> web.Response:
    """A page of a text, line by line."""
    lines = "".join(f"<li>{html.escape(line) or ' '}</li>" for line in text.split("\n"))
    return _page(title, f"<ol>{lines}</ol><script>{_SCRIPT}</script>")


def _page(title: str, body: str) -> web.Response:
    shown = html.escape(title)
    document = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{shown}</title><style>{_STYLE}</style>'
        f'<p><a href="/docs">All documents</a></p><h1>{shown}</h1>{body}</html>'
    )
    return web.Response(text=document, content_type="text/html", headers=_HEADERS)
