"""Tools of other programs, by the Model Context Protocol. All that knows the ``mcp`` package is in this folder.

``servers.py`` is the door; ``connection.py`` holds one session, over ``stdio.py`` or ``http.py``; ``definitions.py``
judges what a server says of its tools, ``results.py`` turns what they return into text. What a server says is
untrusted, all of it: names, descriptions, schemas, instructions, results.
"""
