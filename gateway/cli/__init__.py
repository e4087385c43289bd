"""The command `reelgate`: one file per noun. Exit status: 0 done, 1 failed, 2 usage or configuration error."""

import typer

from gateway.cli import check, demo, health, sandbox, serve, version

app = typer.Typer(
    name="reelgate",
    help="One base URL for AI video generation.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,  # a traceback with local variables would print secrets
)
app.command("serve")(serve.serve)
app.command("check")(check.check)
app.command("demo")(demo.demo)
app.command("sandbox")(sandbox.sandbox)
app.command("healthcheck")(health.healthcheck)
app.command("version")(version.version)


def main() -> None:
    """Run the command line."""
    app()
