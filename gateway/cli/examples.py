"""An example or two for the help of every command, in one table."""

from collections.abc import Mapping, Sequence

EXAMPLES: Mapping[str, Sequence[str]] = {
    "serve": ("reelgate serve", "reelgate serve -c /etc/reelgate/config.yaml --log-level warning"),
    "check": ("reelgate check -c config.yaml", "reelgate check --json"),
    "check-request": (
        "reelgate check-request order.json --dialect toapis",
        "reelgate check-request - --json < order.json",
    ),
    "openapi": ("reelgate openapi > openapi.json", "reelgate openapi -c config.yaml --dialect toapis"),
    "demo": ("reelgate demo", "reelgate demo --once --port 0"),
    "sandbox": ("reelgate sandbox --port 8090 --speed 60",),
    "keys": ("reelgate keys create carol --budget 50/30d", "reelgate keys list --json"),
    "keys create": (
        "reelgate keys create carol --team films --budget 50/30d --expires 90d",
        "reelgate keys create robot --rpm 30 --max-tasks 5 --models 'MiniMax-Hailuo-*'",
    ),
    "keys list": ("reelgate keys list", "reelgate keys list --json"),
    "keys revoke": ("reelgate keys revoke carol",),
    "teams": ("reelgate teams create films --budget 200/30d", "reelgate teams list"),
    "teams create": ("reelgate teams create films --budget 200/30d",),
    "teams update": ("reelgate teams update films --budget 300/1mo", "reelgate teams update films --budget none"),
    "teams list": ("reelgate teams list --json",),
    "tasks": ("reelgate tasks list --state unconfirmed", "reelgate tasks reconcile"),
    "tasks list": (
        "reelgate tasks list --state running --caller carol",
        "reelgate tasks list --since 7d --model MiniMax-Hailuo-2.3 --json",
    ),
    "tasks show": ("reelgate tasks show video_0b2nwchr8qfnk",),
    "tasks adopt": ("reelgate tasks adopt video_0b2nwchr8qfnk task-unified-1757165031",),
    "tasks release": ("reelgate tasks release video_0b2nwchr8qfnk --reason 'not in the console'",),
    "tasks settle": ("reelgate tasks settle video_0b2nwchr8qfnk --reason 'on the invoice'",),
    "tasks reconcile": ("reelgate tasks reconcile", "reelgate tasks reconcile --json"),
    "upstreams": ("reelgate upstreams recover evolink main",),
    "upstreams recover": ("reelgate upstreams recover evolink main",),
    "usage": ("reelgate usage --by model --since 7d", "reelgate usage --by team --json"),
    "freeze": ("reelgate freeze",),
    "unfreeze": ("reelgate unfreeze",),
    "migrate": ("reelgate migrate --check", "reelgate migrate -c config.yaml"),
    "generate": (
        "reelgate generate 'A ship at dawn' -o ship.mp4",
        "reelgate generate 'She turns' --image frame.png --max-price 0.50",
        "reelgate generate 'Rain' --duration 10 --dry-run --json",
    ),
    "fetch": ("reelgate fetch video_0b2nwchr8qfnk -o ship.mp4",),
    "healthcheck": ("reelgate healthcheck --url http://127.0.0.1:8080",),
    "version": ("reelgate version",),
}


def epilog(command: str) -> str | None:
    """The examples of a command as help prints them; brackets in them are no markup."""
    lines = EXAMPLES.get(command)
    return None if lines is None else "\n\n".join(["Examples:", *(f"  {line}" for line in lines)]).replace("[", r"\[")
