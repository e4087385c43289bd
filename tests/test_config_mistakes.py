"""Mistakes in a configuration: all of them at once, each with its place and the way out, never a secret among them."""

import traceback
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.config import ConfigError, load

UP = "upstreams: [{name: e, provider: evolink, base_url: 'https://api.evolink.ai', keys: [{value: sk-1}]}]\n"
ENVIRON = {"KEY": "sk-environment", "HOST": "up.example", "EMPTY": ""}


def error(folder: Path, text: str, environ: Mapping[str, str] = ENVIRON) -> ConfigError:
    """What reading a file with this text raises."""
    file = folder / "config.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file, environ)
    return caught.value


def lines(folder: Path, text: str) -> list[str]:
    return [line.removeprefix("c.yaml: ") for line in error(folder, text).lines("c.yaml")]


U = "upstreams[0]"
ADD = "add it; config.example.yaml shows how"
TEXT = "put the value in quotes"
DIGITS = "write plain digits without quotes"
NUMBER = "write a plain number without quotes, like 2 or 0.5"
LIST = "write one entry per line, each after `- `, or [] for none"
SECTION = "write its settings as `name: value`, or leave the line out"
PROVIDERS = "use one of evolink, toapis, newapi, minimax"
NAME = "use 1 to 64 letters, digits or . _ @ + -, beginning with a letter or digit"
REFERENCE = "write ${NAME} or ${NAME:-default}, and $${ where ${ itself is meant"
ADDRESS = "write it like https://host or http://host:port/path"
SECRET = "write the secret in quotes, as ${NAME} or as {file: /path}"
AMOUNT = "write a plain amount from 0 to 1000000000 with at most six decimals, like 0.28"
CIDR = "write an address range in CIDR form, like 10.0.0.0/8"
CLOSED = "add a virtual key or an admin_key, or listen on 127.0.0.1"
OPEN = "would let anyone on the network spend: it is not loopback, and there is no virtual key or admin key"
STORAGE = "write sqlite:///file.db or postgresql://user:password@host/database"
FILMS = "write the path of a directory, or s3://bucket/prefix"
BUCKET = f"{FILMS}; where the store is and its keys come from AWS_* variables"
FILE = "write sqlite:///file.db, or sqlite:////folder/file.db for a path from the root"
DATABASE = "write postgresql://user:password@host/database"
ADMINS = (
    "is the same key as admin_key",
    "give it a key of its own: who orders videos would rule over keys and money, too",
)
WHSEC = "write whsec_ followed by base64, as webhook libraries do"
HEADER = "use printable ASCII without blanks; look for a line break at its end"
MOMENT = "write it like 2030-12-31 or 2030-12-31T18:00:00Z"
PRICE = 'prices["M"]["768P/6"]'


def one(**settings: str) -> str:
    """A file with one upstream, with settings replaced or added."""
    fields = {"name": "e", "provider": "toapis", "base_url": "https://a.b", "keys": "[{value: sk-1}]"} | settings
    return f"upstreams: [{{{', '.join(f'{name}: {value}' for name, value in fields.items())}}}]\n"


def vk(*keys: str) -> str:
    """A file with virtual keys."""
    return f"{UP}virtual_keys: [{', '.join('{' + key + '}' for key in keys)}]\n"


def twice(word: str) -> tuple[str, str]:
    return f"is the same {word} as in entry 0 of this list", f"give each entry its own {word}"


# fmt: off
MISTAKES: list[tuple[str, str, str, str]] = [  # file, path, what is wrong, the fix
    ("", "upstreams", "is required", ADD),
    ("[]", "", "should be a mapping, found a list", SECTION),
    ("a: [", "", "line 1, column 5: expected the node content, but found '<stream end>'", "mend the YAML there"),
    ("currency: USD\ncurrency: EUR", "", "line 2, column 1: 'currency' stands twice", "mend the YAML there"),
    ("1: 2\ntrue: x", "", "line 2, column 1: a number, true or false stands twice as a name; put names in quotes",
     "mend the YAML there"),
    ("a: &a {b: 1}\nc: {<<: *a, <<: *a}", "",
     "line 2, column 13: << stands twice; merge several with << and a list of them", "mend the YAML there"),
    ("a: &a {b: 1}\nc: {<<: *a, d: 1, d: 2}", "", "line 2, column 19: 'd' stands twice", "mend the YAML there"),
    ("a: &a {b: 1, b: 2}\nc: {<<: *a}", "", "line 1, column 14: 'b' stands twice", "mend the YAML there"),
    ("currency: 2024-13-45", "", "holds a date or number that YAML cannot read", "put such a value in quotes"),
    ("upstreams: []", "upstreams", "is empty", "add at least one entry"),
    ("upstreams: {a: b}", "upstreams", "should be a list, found a mapping", LIST),
    (one(provider="evolnk"), f"{U}.provider", "'evolnk' is not a provider", PROVIDERS),
    (one(provider='"${KEY}"'), f"{U}.provider", "the text from the environment is not a provider", PROVIDERS),
    (one(provider="on"), f"{U}.provider", "should be text, found true or false", PROVIDERS),
    (one(prioritty="1"), f"{U}.prioritty", "unknown setting", "did you mean priority?"),
    (one(priority="-1"), f"{U}.priority", "-1 is too small", "use 0 or more"),
    (one(weight="0"), f"{U}.weight", "0 is too small", "use 1 or more"),
    (one(weight="1.5"), f"{U}.weight", "should be a whole number, found a number", DIGITS),
    (one(models="x"), f"{U}.models", "should be a list, found text", LIST),
    (one(models="[7]"), f"{U}.models[0]", "should be text, found a whole number", TEXT),
    (one(models="['']"), f"{U}.models[0]", "is empty", "write a text or leave it out"),
    (one(name="a b"), f"{U}.name", "is not a name", NAME),
    (one(name="null"), f"{U}.name", "should be text, found null", TEXT),
    (one(name='"${NO}"'), f"{U}.name", "the variable NO is not set", "set NO, or write ${NO:-default}"),
    (one(name='"${A B}"'), f"{U}.name", "holds a ${ that begins no reference", REFERENCE),
    (one(name='"${A:-${B:-c}}"'), f"{U}.name", "holds a ${ that begins no reference", REFERENCE),
    (one(base_url="api.evolink.ai"), f"{U}.base_url", "is not an absolute http or https address", ADDRESS),
    (one(base_url="ftp://a.b"), f"{U}.base_url", "is not an absolute http or https address", ADDRESS),
    (one(base_url="'http://a:x'"), f"{U}.base_url", "is not an address that can be read", ADDRESS),
    (one(base_url="'http://a b'"), f"{U}.base_url",
     "is not an address: it is empty or holds blanks or characters other than ASCII", ADDRESS),
    (one(base_url="'http://u:p@a'"), f"{U}.base_url", "holds a user name or password",
     "leave them out; keys belong into `keys`"),
    (one(base_url="'http://a/?k=1'"), f"{U}.base_url", "holds a query or a fragment",
     "end the address before `?` or `#`"),
    (one(base_url="'http://a/v1/'"), f"{U}.base_url", "ends in /v1, which the gateway adds itself",
     "end the address before /v1"),
    (one(files_url="'https://f.g'"), f"{U}.files_url", "is only for the provider evolink", "remove it"),
    (one(keys="[]"), f"{U}.keys", "is empty", "add at least one entry"),
    (one(keys="[{id: a}]"), f"{U}.keys[0].value", "is required", ADD),
    (one(keys="[{value: '${EMPTY}'}]"), f"{U}.keys[0].value", "is empty", SECRET),
    (one(keys="[{value: 12}]"), f"{U}.keys[0].value", "should be text, found a whole number", SECRET),
    (one(keys="[{value: {file: /absent}}]"), f"{U}.keys[0].value",
     "the file cannot be read (No such file or directory)", "check the path and who may read the file"),
    (one(keys="[{value: {file: /dev/null}}]"), f"{U}.keys[0].value", "the file is empty", "write the secret into it"),
    (one(keys='[{value: "a\\n"}]'), f"{U}.keys[0].value", "holds a character that cannot be sent in a header", HEADER),
    (one(keys="[{id: a, value: x}, {id: a, value: y}]"), f"{U}.keys[1].id", *twice("id")),
    (one(keys="[{id: a, value: x}, {id: b, value: x}]"), f"{U}.keys[1].value", *twice("key")),
    (one(timeouts="{read_s: 0}"), f"{U}.timeouts.read_s", "0 is too small", "use a number above 0"),
    (one(timeouts="{read_s: .inf}"), f"{U}.timeouts.read_s", "is not a finite number", NUMBER),
    (one(timeouts="null"), f"{U}.timeouts", "should be a mapping, found null", SECTION),
    (one(failed_generations="keep"), f"{U}.failed_generations", "'keep' is not one of its words",
     "use one of release, settle"),
    (f"{UP[:-2]}, {UP[12:-2].replace('sk-1', 'sk-2')}]", "upstreams[1].name", *twice("name")),
    (f"{UP}servr: {{}}", "servr", "unknown setting", "did you mean server?"),
    (f"{UP}1: 2", "[1]", "names of settings are text", "put the name in quotes or remove the line"),
    (f"{UP}server: {{port: 70000}}", "server.port", "70000 is too large", "use 65535 at most"),
    (f"{UP}server: {{port: '80'}}", "server.port", "should be a whole number, found text", DIGITS),
    (f"{UP}server: {{port: '${{HOST}}'}}", "server.port", "should be a whole number, found text", DIGITS),
    (f"{UP}server: {{host: 0.0.0.0}}", "server.host", OPEN, CLOSED),
    (f"{UP}server: {{host: '::'}}\nadmin_key: '${{EMPTY}}'\nvirtual_keys: []", "server.host", OPEN, CLOSED),
    (f"{UP}server: {{limits: {{idle_s: '7'}}}}", "server.limits.idle_s", "should be a number, found text", NUMBER),
    (f"{UP}storage: {{url: 'mysql://u:p@h/d'}}", "storage.url", "is not storage that can be used", STORAGE),
    (f"{UP}callbacks: {{signing_secret: abc}}", "callbacks.signing_secret", "is not a signing secret", WHSEC),
    (f"{UP}currency: usd", "currency", "is not a currency", "write three capital letters, like USD"),
    (f"{UP}prices: {{M: {{768: 1}}}}", 'prices["M"][768]', "should be text, found a whole number", TEXT),
    (f"{UP}prices: {{M: {{768p: 1}}}}", 'prices["M"]["768p"]', "is not a resolution and a duration",
     "write it like 768P/6, with - where a model has no choice"),
    (f"{UP}storage: {{url: 'sqlite:file.db'}}", "storage.url", "is not storage that can be used", STORAGE),
    (f"{UP}storage: {{url: 'sqlite://reelgate.db'}}", "storage.url", "lacks a slash: a file stands after three", FILE),
    (f"{UP}storage: {{url: 'sqlite:///:memory:'}}", "storage.url",
     "is no file, and tasks must outlive the process", FILE),
    (f"{UP}storage: {{url: 'sqlite://'}}", "storage.url", "is no file, and tasks must outlive the process", FILE),
    (f"{UP}storage: {{url: 'sqlite:///a.db?mode=ro'}}", "storage.url",
     "holds options after `?`, of which SQLite's are none", "end the address before `?`"),
    (f"{UP}storage: {{url: 'postgresql://u:p@h'}}", "storage.url", "names no database", DATABASE),
    (f"{UP}storage: {{url: 'postgresql://u:p@h/?sslmode=require'}}", "storage.url", "names no database", DATABASE),
    (f"{UP}storage: {{url: 'postgresql://u:p@w@h/d'}}", "storage.url", "holds a second @, most often of the password",
     "write it as %40 there (and % as %25)"),
    (f"{UP}storage: {{url: 'postgresql://h:x/d'}}", "storage.url", "names a port that is no number",
     "write host:5432 or only host; in a password, a colon is %3A and a slash %2F"),
    (f"{UP}results: {{link_ttl_s: 315360001}}", "results.link_ttl_s", "315360001 is too large",
     "use 315360000 at most"),
    (f"{UP}results: {{link_ttl_s: 1{'0' * 26}}}", "results.link_ttl_s", f"1{'0' * 26} is too large",
     "use 315360000 at most"),
    (f"{UP}results: {{archive: s3://}}", "results.archive", "names no bucket", BUCKET),
    (f"{UP}results: {{archive: s3:///prefix}}", "results.archive", "names no bucket", BUCKET),
    (f"{UP}results: {{archive: 's3://key:secret@bucket'}}", "results.archive", "names no bucket", BUCKET),
    (f"{UP}results: {{archive: s3:bucket}}", "results.archive",
     "is neither a directory nor a bucket that can be used", FILMS),
    (f"{UP}results: {{archive: gs://bucket}}", "results.archive",
     "is neither a directory nor a bucket that can be used", FILMS),
    (f"{UP}results: {{archive: 's3://bucket/prefix?region=x'}}", "results.archive", "holds a query or a fragment",
     "end the prefix before `?` or `#`"),
    (f"{UP}results: {{archive: {__file__}}}", "results.archive",
     "is not a directory, or below something that is none", FILMS),
    (f"{UP}results: {{archive: {__file__}/films}}", "results.archive",
     "is not a directory, or below something that is none", FILMS),
    (f"{UP}results: {{archive: ''}}", "results.archive", "is empty", "write a text or leave it out"),
    (f"{UP}prices: {{M: {{768P/6: 0.0000001}}}}", PRICE, "is not an amount of money", AMOUNT),
    (f"{UP}prices: {{M: {{768P/6: -1}}}}", PRICE, "is not an amount of money", AMOUNT),
    (f"{UP}prices: {{M: {{768P/6: '1e999999'}}}}", PRICE, "is not an amount of money", AMOUNT),
    (f"{UP}prices: {{M: {{768P/6: true}}}}", PRICE, "is not an amount of money", AMOUNT),
    (f"{UP}prices: {{M: {{768P/6: 2000000000}}}}", PRICE, "is too large an amount", AMOUNT),
    (f"{UP}teams: [{{id: a, budget: {{amount: 1, period: 2d}}}}]", "teams[0].budget.period",
     "'2d' is not one of its words", "use one of 1d, 7d, 30d, 1mo"),
    (f"{UP}teams: [{{id: a}}, {{id: a}}]", "teams[1].id", *twice("id")),
    (f"{UP}polling: {{min_interval_s: 40}}", "polling.min_interval_s",
     "the shortest interval, 40 s, is longer than the longest, 30 s", "let min_interval_s be at most max_interval_s"),
    (f"{UP}passthrough: {{upstream: f}}", "passthrough.upstream", "'f' is not an upstream",
     "use one of e, or add it to upstreams"),
    (f"{UP}preflight: {{allow_private_networks: [10.0.0.1/8]}}", "preflight.allow_private_networks[0]",
     "names an address inside a range instead of the range", "write 10.0.0.0/8"),
    (f"{UP}preflight: {{allow_private_networks: [home]}}", "preflight.allow_private_networks[0]",
     "is not a range of addresses", CIDR),
    (vk("id: a"), "virtual_keys[0]", "has no key", "add value, or sha256 with the key's digest"),
    (vk(f"id: a, value: x, sha256: {'a' * 64}"), "virtual_keys[0]", "has both value and sha256", "keep one of them"),
    (vk("id: a, sha256: abc"), "virtual_keys[0].sha256", "is not a SHA-256 in hex",
     "write the 64 hex digits that `printf %s KEY | sha256sum` prints"),
    (vk("id: a, value: '${EMPTY}'"), "virtual_keys[0].value", "is empty", SECRET),
    (vk("id: a, value: null"), "virtual_keys[0].value", "is empty", SECRET),
    (vk("id: a, value: x", "id: b, value: x"), "virtual_keys[1].value", *twice("key")),
    (vk("id: a, value: x", f"id: b, sha256: {sha256(b'x').hexdigest()}"), "virtual_keys[1].sha256", *twice("key")),
    (f"admin_key: x\n{vk('id: a, value: y', 'id: b, value: x')}", "virtual_keys[1].value", *ADMINS),
    ("admin_key: x\n" + vk(f"id: a, sha256: {sha256(b'x').hexdigest().upper()}"), "virtual_keys[0].sha256", *ADMINS),
    (vk("id: a, value: x", "id: a, value: y"), "virtual_keys[1].id", *twice("id")),
    (f"{vk('id: a, value: x, team: films')}teams: [{{id: film}}]", "virtual_keys[0].team", "'films' is not a team",
     "did you mean film?"),
    (vk("id: a, value: x, passthrough: 1"), "virtual_keys[0].passthrough",
     "should be true or false, found a whole number", "write true or false without quotes"),
    (vk("id: a, value: x, expires: soon"), "virtual_keys[0].expires", "is not a date", MOMENT),
    (f"{UP}virtual_keys:", "virtual_keys", "should be a list, found null", LIST),
]
# fmt: on


@pytest.mark.parametrize(("text", "path", "message", "fix"), MISTAKES)
def test_a_mistake_is_said_once_with_its_place_and_the_way_out(
    tmp_path: Path, text: str, path: str, message: str, fix: str
) -> None:
    assert lines(tmp_path, text) == [f"{path}: {message}; {fix}" if path else f"{message}; {fix}"]


def test_all_mistakes_are_said_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    said = lines(
        tmp_path,
        """
        server: {port: yes, hots: x, answer_within_s: 0}
        upstreams:
          - {name: a, provider: evolnk, base_url: x, keys: [{id: k, value: "${ABSENT}"}, {id: k, value: v, rpm: 0}]}
          - {name: a, provider: toapis, base_url: "https://a.b", weight: "2", keys: []}
        virtual_keys: [{id: v, value: "${KEY}", team: nobody, dialect: klingon, models: all}]
        polling: {min_interval_s: 3, max_interval_s: 2}
        """,
    )
    assert [line.partition(": ")[0] for line in said] == [
        "server.port",
        "server.hots",
        "server.answer_within_s",
        "upstreams[0].provider",
        "upstreams[0].base_url",
        "upstreams[0].keys[0].value",
        "upstreams[0].keys[1].id",
        "upstreams[0].keys[1].rpm",
        "upstreams[1].name",
        "upstreams[1].weight",
        "upstreams[1].keys",
        "virtual_keys[0].team",
        "virtual_keys[0].dialect",
        "virtual_keys[0].models",
        "polling.min_interval_s",
    ]


def test_the_lines_name_the_file(tmp_path: Path) -> None:
    caught = error(tmp_path, "upstreams: []")
    assert caught.lines("my.yaml") == ["my.yaml: upstreams: is empty; add at least one entry"]
    assert str(caught) == f"{tmp_path / 'config.yaml'}: upstreams: is empty; add at least one entry"


def test_a_file_that_is_missing_unreadable_or_not_text_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, message in [("none", "no such file"), ("folder", "cannot be read"), ("binary", "not UTF-8")]:
        with pytest.raises(ConfigError, match=message):
            load(tmp_path / name, {})


# --- secrets ----------------------------------------------------------------------------------------------------

CANARY = "sk-canary-4711"
SECRET_PLACES = (
    "upstreams: [{name: e, provider: evolink, base_url: 'https://a.b', keys: [{value: @}]}]",
    UP + "admin_key: @",
    UP + "virtual_keys: [{id: a, value: @}]",
    UP + "admin_key: @\nvirtual_keys: [{id: a, value: @}]",
    UP + "virtual_keys: [{id: a, value: @}, {id: b, value: @}]",
    UP + "callbacks: {signing_secret: @}",
    UP + "storage: {url: @}",
    UP + "storage: {url: 'mysql://user:@@host/d'}",
    "upstreams: [{name: e, provider: evolink, base_url: 'https://user:@@host', keys: [{value: @}]}]",
    "upstreams: [{name: e, provider: evolink, base_url: 'https://host?key=@', keys: @}]",
    "upstreams: [{name: e, provider: evolink, base_url: 'https://host', keys: [@]}]",
    "upstreams: @",
    UP + "virtual_keys: [@]",
    UP + "teams: [{id: t, budget: @}]",
)
WRITTEN = (CANARY, f"[{CANARY}]", f"{{{CANARY}: 1}}", f"{{file: {CANARY}}}", f"{{file: [{CANARY}]}}", "${CANARY}")
WRITTEN_BADLY = (
    f"*{CANARY}",
    f"!{CANARY} x",
    f"&{CANARY}",
    f"{CANARY}${{",
    f"'{CANARY}\n'",
    f"{{{CANARY}: {CANARY}",
    f"{{{CANARY}: 1, {CANARY}: 2}}",
)


@pytest.mark.parametrize("place", SECRET_PLACES)
@pytest.mark.parametrize("written", [*WRITTEN, *WRITTEN_BADLY])
def test_no_words_ever_hold_a_secret(tmp_path: Path, place: str, written: str) -> None:
    text = f"{place.replace('@', written)}\nunknown: 1\nserver: {{port: wrong}}\n"
    caught = error(tmp_path, text, {"CANARY": CANARY})
    words = "\n".join((str(caught), repr(caught), *caught.lines("f"), *traceback.format_exception(caught)))
    assert CANARY not in words
