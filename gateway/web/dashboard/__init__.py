"""The dashboard: pages for people, rendered here and readable without a script (CONTRACT section 5).

    dashboard.py  the paths, and the one guard that all of them stand behind
    pages.py      what a page is: its path, and who may read and write there
    sessions.py   who is logged in
    logins.py     how often somebody may try
    forms.py      what a form says, and that it is one of ours
    rendering.py  the door to Jinja2, and the headers of every page
    assets.py     style and script, kept in memory under their digests
    charts.py     numbers as drawings, and spreads.py as marks within a table

A group of pages is a file that offers `pages(parts)`; they are listed in `dashboard.py`. Who may do what stands in
that list and nowhere else: a page that names no handler for somebody's role is closed to it.

Imported by `app.py` only where there is an admin key, so that a gateway without one neither loads nor keeps any of it.
"""
