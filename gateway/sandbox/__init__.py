"""The sandbox: a simulated upstream for demos, tests and client development.

It speaks the protocols of the providers as FACTS gives them, each below its own prefix, and knows nothing of the
gateway, as the gateway knows nothing of it: all it shares are the data files `gateway/models/*.yaml`. It costs no
money, needs no account and no network. A script word in a prompt makes it misbehave: `script.py` has the table.

    app.py        what answers where                 calls.py      a request, an answer, a refusal
    front.py      the door of one protocol           delivery.py   how an answer leaves, well or badly
    evolink.py    the EvoLink protocol               purchase.py   the story of a create, and of a look
    sandbox.py    everything it remembers            script.py     the script words
    sales.py      what is on sale                    accounts.py   keys and their money
    tasks.py      videos in the making, on a clock   journal.py    requests received
    downloads.py  films and uploaded images          uploads.py    images uploaded
    control.py    `/_sandbox/…`                      serving.py    the server, and sockets that can be cut

To add a protocol: one file like `evolink.py`, and one line in `app.py`.
"""

from gateway.sandbox.app import create_app
from gateway.sandbox.serving import running, serve

__all__ = ["create_app", "running", "serve"]
