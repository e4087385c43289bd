"""The sandbox: a simulated upstream for demos, tests and client development.

It speaks the protocols of the providers as FACTS gives them, each below its own prefix, and knows nothing of the
gateway, as the gateway knows nothing of it: all it shares are the data files `gateway/models/*.yaml`. It costs no
money, needs no account and no network. A script word in a prompt makes it misbehave: `script.py` has the table.

    app.py        what answers where                 calls.py      a request, an answer, a refusal
    front.py      the door of one protocol           delivery.py   how an answer leaves, well or badly
    sandbox.py    everything it remembers            purchase.py   the story of a create, and of a look
    sales.py      what is on sale                    script.py     the script words
    tasks.py      videos in the making, on a clock   accounts.py   keys and their money
    downloads.py  films, images, and nothing there   journal.py    requests received
    links.py      links that live an hour            uploads.py    images uploaded
    control.py    `/_sandbox/…`                      serving.py    the server, and sockets that can be cut

The protocols, each a sibling that knows no other, with what its create may say in a file beside it:

    evolink.py    `/evolink`   errors as `error{}`, codes twice over, and a file host in evolink_files.py
    toapis.py     `/toapis`    errors as `error{}`, extended parameters in `metadata`
    newapi.py     `/newapi`    errors flat, those of its outer door as `error{}`; the vendor's fields in `metadata`
    minimax.py    `/minimax`   errors inside HTTP 200, as `base_resp`; a result is a file with links of an hour

    choosing.py   model, prompt and offer            fields.py     fields by type, refused by name
    hailuo.py     the fields of the vendor's body    addresses.py  images and callbacks that a request names

To add a protocol: one file like `toapis.py`, one for its create, and one line in `app.py`.
"""

from gateway.sandbox.app import create_app
from gateway.sandbox.serving import running, serve

__all__ = ["create_app", "running", "serve"]
