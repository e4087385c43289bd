"""An hour of everything at once: a gateway, its upstreams, its callers and their mishaps, each as it is in life.

`python -m tests.soak --minutes 60` is the long run, and any number of minutes is a look. It stops by itself, and its
exit status is 1 where something was not flat, not exact, or answered as it must not be.

    stage.py      the processes, and the hosts that callers name
    callers.py    what callers do, well and badly
    mishaps.py    what happens to the gateway and to its upstream, and when
    measuring.py  the steady probes, and a sample every ten seconds
    verdict.py    the books, and the first part of the run against the last
"""
