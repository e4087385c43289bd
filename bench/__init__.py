"""A benchmark of the gateway, run by hand: `make bench`, or `python -m bench`. Linux only.

The gateway runs with everything on: virtual keys, checks, an intention that is on the disk before a create is sent,
metrics, and a log in a file. Every figure stands beside a yardstick of the same run on the same core, because figures
of two machines, or of one machine in two hours, cannot be compared. The gateway and its yardsticks are pinned to one
core; the load generator (wrk) and the fixed upstream get the others.
"""
