"""The full matrix: every dialect × every provider × every request the catalog's files can make, generated from them.

    wishes.py     what is wanted, free of any dialect: everything on sale, and the rest of the cross product
    speakers.py   the dialects, as their clients write and read them
    sellers.py    the providers: what each can be told, and what a body says in its own fields
    verdicts.py   what has to become of a wish between a dialect and a provider
    world.py      a gateway in this process before a sandbox, and the cheapest client there is
    films.py      what the header of an MP4 says

None of this asks the gateway's own translators anything: it is a second reading of the same documents.
"""
