"""Several gateways on one port: a parent that holds the port and keeps its workers alive.

The parent knows nothing of the gateway, and next to nothing at all: it becomes itself by `exec`, so that it keeps its
number and none of the memory of the command that read the configuration. Its workers are the same command, started
anew, told by one variable of the environment what place they have. They share nothing but storage: what keeps several
replicas right keeps workers right.

    place.py    what a worker is given: its listeners, its line to the parent, the folder where counts are kept
    seats.py    the places, and who has them
    parent.py   starts workers, starts them again, replaces them, ends them
    counts.py   what is left of the counts of workers that are gone

One listening socket for each place, all on one port (SO_REUSEPORT): the system spreads connections evenly, where 64
kept connections on one shared socket went 61 to one of four processes. The parent holds them all: a socket that its
worker has left is not closed, so what waits in its queue waits for the next worker and is not reset.
"""
