"""The configuration: what is read, where it comes from, and that the example tells all of it."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import make_url

from gateway.config import Config, ConfigError, find, from_environment, inherit, json_schema, load, override
from gateway.config.shape import SHAPE, Branch, Items, Shape, Table
from gateway.documents import read_yaml
from gateway.secret import Secret

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "config.example.yaml"
UP = "upstreams: [{name: e, provider: evolink, base_url: 'https://api.evolink.ai', keys: [{value: sk-1}]}]\n"
CANARY = "sk-canary-4711"
ENVIRON = {"KEY": "sk-environment", "PORT": "9000", "HALF": "0.5", "YES": "true", "EMPTY": "", "HOST": "up.example"}


@pytest.fixture
def read(tmp_path: Path) -> "Reader":
    return Reader(tmp_path)


class Reader:
    """Writes a config.yaml and reads it back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, text: str, environ: Mapping[str, str] = ENVIRON) -> Config:
        file = self.folder / "config.yaml"
        file.write_text(text, "utf-8")
        return load(file, environ)


def vk(*keys: str) -> str:
    """A file with virtual keys."""
    return f"{UP}virtual_keys: [{', '.join('{' + key + '}' for key in keys)}]\n"


# --- what is read -----------------------------------------------------------------------------------------------


def test_only_upstreams_need_to_be_said(read: Reader) -> None:
    config = read(UP)
    assert (config.server.host, config.server.port, config.server.answer_within_s) == ("127.0.0.1", 8080, 8)
    assert config.storage.url == Secret("sqlite:///reelgate.db")
    assert config.storage.kind == "sqlite"
    assert config.admin_key is None
    assert config.virtual_keys == ()
    assert config.passthrough.upstream is None
    assert config.queue.max_tasks == 1000
    upstream = config.upstreams[0]
    assert upstream.keys[0].value.reveal() == "sk-1"
    assert upstream.models is None
    assert upstream.files_url == "https://files-api.evolink.ai"


def test_a_key_without_an_id_is_named_after_its_secret_and_is_its_own_account(read: Reader) -> None:
    key = read(UP).upstreams[0].keys[0]
    assert key.id == key.account == f"key-{sha256(b'sk-1').hexdigest()[:8]}"


def test_images_go_to_the_public_file_host_only_beside_the_public_address(read: Reader) -> None:
    assert read(UP.replace("https://api.evolink.ai", "http://127.0.0.1:9/evolink/")).upstreams[0].files_url == (
        "http://127.0.0.1:9/evolink"
    )
    assert read(UP.replace("provider: evolink", "provider: toapis")).upstreams[0].files_url is None


def test_of_a_virtual_key_only_the_digest_is_kept(read: Reader) -> None:
    digest = sha256(b"sk-alice").hexdigest()
    config = read(f"{UP}virtual_keys: [{{id: a, value: sk-alice}}, {{id: b, sha256: {'AB' * 32}}}]")
    assert [key.digest for key in config.virtual_keys] == [digest, "ab" * 32]
    assert "sk-alice" not in repr(config) + config.model_dump_json() + repr(vars(config.virtual_keys[0]))


@pytest.mark.parametrize(
    ("written", "micros"),
    [("0.28", 280_000), ("50", 50_000_000), ("0.1", 100_000), ("0.000001", 1), ('"0.56"', 560_000), ("0", 0)],
)
def test_money_is_exact(read: Reader, written: str, micros: int) -> None:
    config = read(
        f"{UP}prices: {{M: {{768P/6: {written}, -/-: 1}}}}\nteams: [{{id: t, budget: {{amount: {written}}}}}]"
    )
    assert config.prices["M"]["768P/6"] == micros
    assert config.teams[0].budget is not None
    assert config.teams[0].budget.amount == micros
    assert config.teams[0].budget.period is None


@given(st.integers(min_value=0, max_value=10**11))
def test_every_amount_of_six_decimals_survives_yaml(tmp_path_factory: pytest.TempPathFactory, micros: int) -> None:
    file = tmp_path_factory.mktemp("money", numbered=True) / "config.yaml"
    file.write_text(f"{UP}prices: {{M: {{768P/6: {Decimal(micros).scaleb(-6):f}}}}}", "utf-8")
    assert load(file, {}).prices["M"]["768P/6"] == micros


def test_values_come_from_the_environment_with_the_type_of_the_setting(read: Reader) -> None:
    config = read(
        """
        server: {port: "${PORT}", answer_within_s: "${HALF}", public_url: "https://${HOST}/x/",
                 default_dialect: "${D:-openai}"}
        queue: {max_tasks: "${ABSENT:-0}"}
        upstreams:
          - {name: "${NAME:-up}-1", provider: newapi, base_url: "http://${HOST}:${PORT}/", models: ["${M:-a*}"],
             keys: [{value: "${KEY}", rpm: "${EMPTY}"}]}
        virtual_keys: [{id: a, value: "${KEY}2", passthrough: "${YES}", team: "${EMPTY:-}"}]
        preflight: {images: "${OFF:-off}", allow_private_networks: ["${NET:-127.0.0.0/8}"]}
        """
    )
    assert (config.server.port, config.server.answer_within_s) == (9000, 0.5)
    assert (config.server.public_url, config.server.default_dialect) == ("https://up.example/x", "openai")
    assert config.queue.max_tasks == 0
    upstream = config.upstreams[0]
    assert (upstream.name, upstream.base_url, upstream.models) == ("up-1", "http://up.example:9000", ("a*",))
    assert (upstream.keys[0].value.reveal(), upstream.keys[0].rpm) == ("sk-environment", None)
    assert config.virtual_keys[0].digest == sha256(b"sk-environment2").hexdigest()
    assert (config.virtual_keys[0].passthrough, config.virtual_keys[0].team) == (True, None)
    assert (config.preflight.images, config.preflight.allow_private_networks) == ("off", (ip_network("127.0.0.0/8"),))


def test_a_doubled_dollar_is_a_literal_one(read: Reader) -> None:
    assert read(UP.replace("sk-1", "'$${KEY}-$$-$'")).upstreams[0].keys[0].value.reveal() == "${KEY}-$$-$"


def test_what_a_variable_holds_is_not_expanded_again(read: Reader) -> None:
    text = UP.replace("sk-1", "'${A}'")
    assert read(text, {"A": "${B}", "B": "no"}).upstreams[0].keys[0].value.reveal() == "${B}"


def test_secrets_are_read_from_files_without_their_last_line_break(read: Reader, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sk-filed\n", "utf-8")
    (tmp_path / "other").write_text("sk-other\n", "utf-8")
    place, other = "{file: '${DIR}/secret'}", "{file: '${DIR}/other'}"
    config = read(
        f"{UP.replace('sk-1', place)}admin_key: {place}\nvirtual_keys: [{{id: a, value: {other}}}]",
        {"DIR": str(tmp_path)},
    )
    assert config.upstreams[0].keys[0].value == config.admin_key == Secret("sk-filed")
    assert config.virtual_keys[0].digest == sha256(b"sk-other").hexdigest()


def test_words_that_yaml_takes_for_false_are_words_where_off_is_meant(read: Reader) -> None:
    preflight = read(f"{UP}preflight: {{images: off, camera_commands: off}}").preflight
    assert (preflight.images, preflight.camera_commands) == ("off", "off")


@pytest.mark.parametrize("off", ["queue: null", "queue: {max_tasks: 0}", "queue:"])
def test_the_queue_is_turned_off_by_null_or_zero(read: Reader, off: str) -> None:
    assert read(UP + off).queue.max_tasks == 0


@pytest.mark.parametrize("off", ["passthrough: null", "passthrough: {upstream: null}", ""])
def test_the_passthrough_is_off_unless_it_names_an_upstream(read: Reader, off: str) -> None:
    assert read(UP + off).passthrough.upstream is None
    assert read(f"{UP}passthrough: {{upstream: e}}").passthrough.upstream == "e"


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2030-12-31", datetime(2030, 12, 31, tzinfo=UTC)),
        ("2030-12-31T18:00:00Z", datetime(2030, 12, 31, 18, tzinfo=UTC)),
        ("'2030-12-31T18:00:00+02:00'", datetime(2030, 12, 31, 16, tzinfo=UTC)),
        ("2030-12-31 18:00:00", datetime(2030, 12, 31, 18, tzinfo=UTC)),
    ],
)
def test_a_key_expires_at_a_moment_in_utc(read: Reader, written: str, moment: datetime) -> None:
    assert read(f"{UP}virtual_keys: [{{id: a, value: b, expires: {written}}}]").virtual_keys[0].expires == moment


def test_the_configuration_is_frozen_to_the_bottom(read: Reader) -> None:
    config = read(f"{UP}prices: {{M: {{768P/6: 1}}}}\nvirtual_keys: [{{id: a, value: b}}]")
    for section, name in [(config, "currency"), (config.server.limits, "body_s"), (config.upstreams[0].keys[0], "id")]:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, name, getattr(section, name))
    with pytest.raises(TypeError):
        config.prices["M"] = {}  # type: ignore[index] # the very mistake under test
    with pytest.raises(TypeError):
        config.prices["M"]["768P/6"] = 2  # type: ignore[index] # the very mistake under test
    for items in (config.upstreams, config.upstreams[0].keys, config.virtual_keys[0].models, config.teams):
        assert isinstance(items, tuple)


def test_a_finished_configuration_does_not_print_its_secrets(read: Reader) -> None:
    config = read(
        f"""
        storage: {{url: "postgresql://u:{CANARY}@h/d"}}
        admin_key: {CANARY}-admin
        upstreams: [{{name: e, provider: evolink, base_url: "https://a.b", keys: [{{value: {CANARY}-up}}]}}]
        virtual_keys: [{{id: a, value: {CANARY}-virtual}}]
        callbacks: {{signing_secret: whsec_c2VjcmV0LWNhbmFyeQ==}}
        """
    )
    words = f"{config} {config!r} {config.model_dump()} {config.model_dump_json()}"
    assert CANARY not in words
    assert "c2VjcmV0LWNhbmFyeQ" not in words
    assert config.virtual_keys[0].digest not in repr(config)


# --- where it comes from ----------------------------------------------------------------------------------------


def test_the_option_comes_before_the_variable_before_the_file_before_the_environment(tmp_path: Path) -> None:
    for name in ("option", "variable", "config"):
        (tmp_path / f"{name}.yaml").write_text(UP.replace("name: e", f"name: {name}"), "utf-8")
    environ = {"REELGATE_CONFIG": "variable.yaml", "TOAPIS_API_KEY": "sk-t"}

    def found(option: str | None) -> str:
        return find(Path(option) if option else None, environ, tmp_path).upstreams[0].name

    assert found("option.yaml") == "option"
    assert found(None) == "variable"
    del environ["REELGATE_CONFIG"]
    assert found(None) == "config"
    (tmp_path / "config.yaml").unlink()
    assert found(None) == "toapis"


def test_a_named_file_that_does_not_exist_is_a_mistake_whatever_the_environment_holds(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(UP, "utf-8")
    with pytest.raises(ConfigError) as caught:
        find(None, {"REELGATE_CONFIG": "none.yaml", "EVOLINK_API_KEY": "x"}, tmp_path)
    assert caught.value.lines() == ["none.yaml: there is no such file; check -c and REELGATE_CONFIG"]


def test_a_link_that_leads_nowhere_is_a_file_that_is_missing_and_not_none(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").symlink_to(tmp_path / "mounted-later.yaml")
    with pytest.raises(ConfigError) as caught:
        find(None, {"EVOLINK_API_KEY": "x"}, tmp_path)
    assert caught.value.lines() == ["config.yaml: is a link to a file that is not there; mend the link, or remove it"]


def test_keys_in_the_environment_start_their_upstreams_on_the_public_addresses() -> None:
    config = from_environment({"EVOLINK_API_KEY": "e", "TOAPIS_API_KEY": "t", "MINIMAX_API_KEY": "${m}"})
    assert [(item.name, item.provider, item.base_url, item.keys[0].value.reveal()) for item in config.upstreams] == [
        ("evolink", "evolink", "https://api.evolink.ai", "e"),
        ("toapis", "toapis", "https://toapis.com", "t"),
        ("minimax", "minimax", "https://api.minimax.io", "${m}"),
    ]
    assert config.admin_key is None
    assert from_environment({"TOAPIS_API_KEY": "t", "REELGATE_ADMIN_KEY": "a"}).admin_key == Secret("a")


def test_without_file_and_keys_it_says_what_to_do() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {"EVOLINK_API_KEY": ""})
    assert caught.value.lines() == [
        "environment: there is no config.yaml and no upstream key; set EVOLINK_API_KEY, TOAPIS_API_KEY or "
        "MINIMAX_API_KEY, or copy config.example.yaml to config.yaml and edit it"
    ]


def test_the_command_line_overrides_where_to_listen_but_does_not_open_the_gateway(read: Reader) -> None:
    config = override(read(UP), host="::1", port=0)
    assert (config.server.host, config.server.port, config.server.answer_within_s) == ("::1", 0, 8)
    with pytest.raises(ConfigError, match="anyone on the network"):
        override(read(UP), host="0.0.0.0")
    assert override(read(vk("id: a, value: b")), host="0.0.0.0").server.host == "0.0.0.0"


def test_who_was_handed_a_listener_is_judged_by_where_that_one_is(read: Reader) -> None:
    with pytest.raises(ConfigError, match=r"the listener on 0\.0\.0\.0, .*anyone on the network"):
        inherit(read(UP), "0.0.0.0")
    assert inherit(read(vk("id: a, value: b")), "0.0.0.0").server.host == "0.0.0.0"
    told = inherit(read(f"{UP}admin_key: x\nserver: {{host: 0.0.0.0, port: 7}}"), "127.0.0.1").server
    assert (told.host, told.port) == ("127.0.0.1", 7)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///reelgate.db",
        "sqlite:////var/lib/a b/reelgate.db",
        "postgresql:///films",
        "postgresql://h/films",
        "postgresql://u:p%40w/x?y@h:5432/films?sslmode=require&application_name=a@b",
        "postgresql://u:p@[::1]:5432/films",
        "postgresql://u@/films?host=/run/postgresql",
    ],
)
def test_storage_is_a_file_or_a_database(read: Reader, url: str) -> None:
    assert read(f"{UP}storage: {{url: '{url}'}}").storage.url.reveal() == url
    database = make_url(url)  # whose words they are: what is let through, it can read
    assert database.database
    assert "@" not in (database.host or "")


@pytest.mark.parametrize("archive", ["films", "/nowhere/films", "s3://bucket", "s3://my.bucket-1/films/of us/"])
def test_an_archive_is_a_directory_that_need_not_be_there_yet_or_a_bucket(read: Reader, archive: str) -> None:
    assert read(f"{UP}results: {{archive: '{archive}'}}").results.archive == archive


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "'::1'", "'[::1]'", "localhost"])
def test_a_loopback_host_needs_no_keys(read: Reader, host: str) -> None:
    assert read(f"{UP}server: {{host: {host}}}").server.host == host.strip("'")


# --- the example, the schema -------------------------------------------------------------------------------------


def places(shape: Shape, place: str = "") -> Iterator[str]:
    """Every setting there is, as `upstreams[].keys[].value`."""
    match shape:
        case Branch(names):
            for name, inner in names.items():
                yield f"{place}.{name}".lstrip(".")
                yield from places(inner, f"{place}.{name}")
        case Items(of):
            yield from places(of, f"{place}[]")
        case Table():
            return


def written_places(tree: object, place: str = "") -> Iterator[str]:
    if isinstance(tree, dict):
        for name, item in tree.items():
            yield f"{place}.{name}".lstrip(".")
            yield from written_places(item, f"{place}.{name}")
    elif isinstance(tree, list):
        for item in tree:
            yield from written_places(item, f"{place}[]")


def values(dumped: object, path: str = "") -> dict[str, object]:
    """Path → value of everything in a dumped configuration."""
    if isinstance(dumped, dict) and dumped:
        return {
            place: value for name, item in dumped.items() for place, value in values(item, f"{path}.{name}").items()
        }
    return {path.lstrip("."): dumped}


def example() -> Config:
    return load(EXAMPLE, {name: f"sk-{name}" for name in re.findall(r"\$\{([A-Z_]+)\}", EXAMPLE.read_text("utf-8"))})


def test_the_example_shows_every_setting_and_no_other() -> None:
    assert set(written_places(read_yaml(EXAMPLE.read_text("utf-8")))) == set(places(SHAPE))


def test_the_example_shows_the_defaults(read: Reader) -> None:
    shown = example()
    bare = read(UP.replace("name: e", "name: evolink").replace("value: sk-1", "id: main, value: sk-EVOLINK_API_KEY"))
    lists = {"upstreams", "virtual_keys", "teams"}
    assert values(shown.model_dump(exclude=lists)) == values(bare.model_dump(exclude=lists))
    assert shown.upstreams == bare.upstreams
    assert shown.virtual_keys[0] == read(vk("id: alice, value: sk-ALICE_KEY")).virtual_keys[0]


def test_the_example_says_a_word_about_every_setting() -> None:
    lines = EXAMPLE.read_text("utf-8").splitlines()
    for before, line in pairwise(lines):
        is_setting = re.match(r"[ -]*[a-z_0-9]+:", line) is not None
        is_repeated = line.strip() in ("- id: bob", "team: films", "budget:")
        assert not is_setting or is_repeated or "# " in line or before.lstrip().startswith("#"), line


def test_the_schema_knows_every_section() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == set(Config.model_fields)
    assert schema["additionalProperties"] is False
    assert "value" in schema["$defs"]["VirtualKey"]["properties"]
