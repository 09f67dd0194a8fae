"""The frame of the sandbox's pages. Nothing in them runs or loads, whatever stands in the messages."""

import html

from aiohttp import web

_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "X-Frame-Options": "DENY"}
_STYLE = """
body { font: 15px/1.46 system-ui, sans-serif; max-width: 52rem; margin: 1.5rem auto; padding: 0 1rem; color: #1d1c1d }
a { color: #1264a3; text-decoration: none } a:hover { text-decoration: underline }
h1 { font-size: 1.2rem } h2 { font-size: 1.05rem; margin: 1.2rem 0 .3rem }
article { border-left: 3px solid #eee; padding: .2rem .8rem; margin: .7rem 0 }
article.reply { margin-left: 1.6rem } article.linked { background: #fff8e1; border-color: #f2c744 }
article.bot { border-color: #007a5a } time { color: #616061; font-size: .8rem; margin-left: .5rem }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .2rem 0; font: inherit }
.attachment { border-left: 4px solid var(--bar, #ddd); padding-left: .7rem; margin: .3rem 0 }
.note { color: #616061; font-size: .85rem }
.button { border: 1px solid #bbb; border-radius: 4px; padding: .1rem .6rem; margin-right: .3rem; font-size: .9rem }
"""


def page(title: str, body: str) -> web.Response:
    """A page; ``title`` is plain text, ``body`` HTML in which everything was escaped."""
    shown = html.escape(title)
    document = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{shown}</title><style>{_STYLE}</style>'
        f'<p class="note"><a href="/">All channels</a> · <a href="/homes">Home tabs</a></p>'
        f"<h1>{shown}</h1>{body}</html>"
    )
    return web.Response(text=document, content_type="text/html", headers=_HEADERS)
