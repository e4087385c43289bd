"""What a test or a curious person asks the sandbox itself: `/_sandbox/…`. Nothing here is part of any protocol."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from gateway.sandbox.calls import Answer, json_answer
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.script import WORDS


def routes(sandbox: Sandbox) -> list[Mount]:
    async def requests(_: Request) -> Response:
        return _response(json_answer(200, sandbox.journal.entries()))

    async def clear(_: Request) -> Response:
        sandbox.forget()
        return Response(status_code=204)

    async def videos(_: Request) -> Response:
        return _response(json_answer(200, sandbox.videos()))

    async def words(_: Request) -> Response:
        return _response(json_answer(200, {f"#sandbox:{name}": word.does for name, word in WORDS.items()}))

    return [
        Mount(
            "/_sandbox",
            routes=[
                Route("/requests", requests, methods=["GET"]),
                Route("/requests", clear, methods=["DELETE"]),
                Route("/videos", videos, methods=["GET"]),
                Route("/words", words, methods=["GET"]),
            ],
        )
    ]


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, dict(answer.headers))
