"""What strangers write stays text, on every page and in every place."""

import asyncio
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gateway import ids
from gateway.flows import callers
from gateway.video import Failure
from gateway.virtual_keys import VirtualKey
from gateway.web.dashboard.dashboard import GROUPS
from gateway.web.dashboard.pages import Role
from tests.dashboard.visitor import CONFIG, visitor
from tests.world import ALICE, SLOW, id_of, world

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</title></style></textarea><script>alert(1)</script>",
    "{{ 7*191 }}{% raw %}",
    "javascript:alert(1)",
    "\u2028<b>\u202e&lt;i&gt;",
]
OWN_SCRIPTS = "/dashboard/static/"


@pytest.mark.parametrize("attack", ATTACKS)
def test_prompts_names_and_upstream_errors_are_inert_on_every_page(attack: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG, speed=SLOW) as it, visitor(it) as operator, visitor(it, ALICE) as alice:
            words = [id_of(await it.create(prompt=prompt)) for prompt in (f"a ship {attack}", attack)]
            # Storage may hold what no form of ours lets in.
            await it.parts.callers.create_key(VirtualKey(id=attack, team=attack, models=(attack,)), it.parts.clock())
            await callers.refresh(it.parts)
            number = ids.number_of(words[1])
            assert number is not None
            failure = Failure(attack, f"the upstream says {attack}")
            it.parts.memory.keep(await it.parts.registry.fail(number, failure, now=it.parts.clock()))
            for visiting, role in ((operator, Role.OPERATOR), (alice, Role.HOLDER)):
                shown = 0
                for path in [page.path for group in GROUPS for page in group(it.parts) if role in page.read]:
                    for word in words:
                        answer = await visiting.http.get(path.replace("{id}", word), params={"name": attack})
                        assert answer.status_code < 500, path
                        shown += attack in Told.of(answer.text)
                assert shown >= 3  # the list of tasks and the two stories at least
            for path in ("/dashboard/keys", "/dashboard/teams"):
                answer = await operator.sends(path, id=attack, amount=attack, period=attack)
                assert answer.status_code == 400
                assert attack in Told.of(answer.text)
            for path in ("/dashboard/login", f"/dashboard/{attack}", f"/dashboard/tasks/{attack}"):
                Told.of((await operator.http.get(path, params={"to": attack, "state": attack})).text)

    asyncio.run(story())


class Told(HTMLParser):
    """A page as a browser takes it apart; refuses whatever could do something."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    @classmethod
    def of(cls, page: str) -> str:
        """All text there is, in tags and between them."""
        told = cls()
        told.feed(page)
        told.close()
        assert "1337" not in page  # 7 times 191
        return "\n".join(told.texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("i", "iframe", "object", "embed", "base", "style", "template")
        said = dict(attrs)
        assert len(said) == len(attrs)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            assert name not in ("style", "srcdoc"), (tag, name)
            if name in ("href", "src", "action", "formaction"):
                assert (value or "").startswith(("/dashboard", "?", "#")), (tag, name, value)
            self.texts.append(value or "")
        if tag in ("script", "img"):
            assert (said.get("src") or "").startswith(OWN_SCRIPTS)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
