"""The guarded door to addresses that others name: a caller's images and callbacks, an upstream's films.

Whoever may name an address that we then call could use us to reach what only we can reach. So an address is read once,
by one strict reader; its name is looked up once; every answer must be public, or lie in a network that the operator
opened; the connection goes to the very address that was judged, and its other end is looked at before a byte is sent.
A redirect starts all of this anew. No proxy of the environment is asked, nothing is kept alive, and bytes, time and
the number of exchanges at once have limits.

The caller hears one sentence, the same for what was refused and for what cannot be reached; the operator's log has the
reason and the place, never credentials, path or query. How long a refusal takes tells nothing of the inside either:
it depends on the address's text and on the name server, because nothing is ever touched that is neither public nor
opened by the operator.

    refusals.py   the one error, and the closed set of reasons
    urls.py       reading an address, and where a redirect leads
    networks.py   which IP addresses are public
    listeners.py  which of them are our own
    resolving.py  the look-up of a name
    lines.py      a connection that goes to a judged address and nowhere else
    policies.py   what each kind of address may be and take, and what the caller hears
    door.py       `Door`: vet, probe, film, post
"""

from gateway.egress.door import Answer, Door
from gateway.egress.policies import POLICIES, Kind
from gateway.egress.refusals import EgressRefused, Reason

__all__ = ["POLICIES", "Answer", "Door", "EgressRefused", "Kind", "Reason"]
