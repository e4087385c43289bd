"""`compose.yaml` and what stands beside it agree with each other and with the program.

No container is started here: what is held together are the names that a misspelling would break, and the promises that
nobody would notice missing (a published database, a secret in a file, a replica without a journal of its own).
"""

import re
from pathlib import Path
from typing import Any

import typer
import yaml

from gateway.cli import build
from gateway.config import Server, load
from gateway.serving.ending import LEFT_WITHIN_S

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
REPLICAS = [name for name in SERVICES if name.startswith("replica-")]
CONFIG = ROOT / "deploy" / "config.yaml"
SEEING = ("grafana", "prometheus")
PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
BALANCER = (ROOT / "deploy" / "haproxy.cfg").read_text("utf-8")

# The keys of the Compose specification that are used here; a misspelt one would be ignored, or stop everything.
KNOWN = {
    "image", "build", "command", "environment", "networks", "depends_on", "healthcheck", "stop_grace_period", "restart",
    "read_only", "tmpfs", "cap_drop", "security_opt", "volumes", "ports", "shm_size", "profiles", "stop_signal",
}  # fmt: skip
ENDS_WITHIN_S = 30  # CONTRACT section 5
KNOWN_HEALTHCHECK = {"test", "interval", "timeout", "retries", "start_period"}


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\$\{(\w+)", text))


def mounts(service: dict[str, Any]) -> list[list[str]]:
    return [mount.split(":") for mount in service.get("volumes", [])]


def test_there_are_two_replicas_a_database_and_a_balancer_and_who_looks_on_only_if_wanted() -> None:
    assert sorted(SERVICES) == ["balancer", "grafana", "postgres", "prometheus", "replica-1", "replica-2"]
    for name, service in SERVICES.items():
        assert set(service) <= KNOWN, name
        assert "image" in service
        assert service.get("profiles") == (["seeing"] if name in SEEING else None)


def test_every_service_is_watched_and_comes_back() -> None:
    for name, service in SERVICES.items():
        assert set(service["healthcheck"]) <= KNOWN_HEALTHCHECK, name
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["restart"] == "unless-stopped"


def test_only_balancer_and_dashboard_are_published_and_only_on_this_machine_unless_told() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "balancer": ["${REELGATE_LISTEN:-127.0.0.1:8080}:8080"],
        "grafana": ["${REELGATE_SEEING_LISTEN:-127.0.0.1:3000}:3000"],
    }


def test_the_database_is_seen_by_the_replicas_only() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert [name for name, service in SERVICES.items() if "inside" in service["networks"]] == [*REPLICAS, "postgres"]
    assert SERVICES["postgres"]["networks"] == ["inside"]


def test_volumes_and_networks_are_declared_and_files_exist() -> None:
    for service in SERVICES.values():
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        assert set(service.get("depends_on", [])) <= set(SERVICES)
        for source, target, *_ in mounts(service):
            assert target.startswith("/")
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
    used = {source for service in SERVICES.values() for source, *_ in mounts(service)}
    assert set(COMPOSE["volumes"]) <= used


def test_each_replica_keeps_its_own_journal_where_it_works() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    (folder,) = re.findall(r"^WORKDIR (/data)$", dockerfile, re.MULTILINE)
    journals = [source for name in REPLICAS for source, target, *_ in mounts(SERVICES[name]) if target == folder]
    assert len(set(journals)) == len(REPLICAS)


def test_the_replicas_are_given_the_names_that_their_configuration_asks_for() -> None:
    for name in REPLICAS:
        given = SERVICES[name]["environment"]
        assert set(given) == names_in(CONFIG.read_text("utf-8"))
        for variable, value in given.items():  # from outside, and not to be forgotten
            assert value.startswith(f"${{{variable}:?"), value
        command = SERVICES[name]["command"]
        assert command[:2] == ["serve", "--config"]
        assert command[2] in [target for _, target, *_ in mounts(SERVICES[name])]


def test_the_configuration_is_sound_and_meets_the_database() -> None:
    secrets = {name: f"{name.lower()}-of-a-test" for name in names_in(CONFIG.read_text("utf-8"))}
    config = load(CONFIG, secrets)
    database = SERVICES["postgres"]["environment"]
    password = secrets["REELGATE_DB_PASSWORD"]
    assert database["POSTGRES_PASSWORD"].startswith("${REELGATE_DB_PASSWORD:?")
    assert config.storage.url.reveal() == (
        f"postgresql://{database['POSTGRES_USER']}:{password}@postgres/{database['POSTGRES_DB']}"
    )
    assert (config.server.host, config.server.port) == ("0.0.0.0", 8080)


def test_no_secret_stands_in_a_file() -> None:
    for text in ((ROOT / "compose.yaml").read_text("utf-8"), CONFIG.read_text("utf-8")):
        for line in text.splitlines():
            if re.search(r"(PASSWORD|_KEY|value|password)\b.*:\s", line) and not line.lstrip().startswith("#"):
                assert "${" in line, line


def test_the_balancer_knows_every_replica_and_asks_whether_it_lives() -> None:
    servers = re.findall(r"^    server (\S+) (\S+):(\d+)", BALANCER, re.MULTILINE)
    assert servers == [(name, name, "8080") for name in REPLICAS]
    assert "http-check send meth GET uri /healthz " in BALANCER
    assert re.findall(r"^    bind :(\d+)$", BALANCER, re.MULTILINE) == ["8080"]
    assert all("outside" in SERVICES[name]["networks"] for name in [*REPLICAS, "balancer"])


def test_the_balancer_never_sends_an_order_again() -> None:
    assert re.findall(r"^    retry-on (.+)$", BALANCER, re.MULTILINE) == ["conn-failure"]
    assert re.findall(r"^    http-reuse (.+)$", BALANCER, re.MULTILINE) == ["never"]


def test_a_replica_leaves_the_balancer_before_it_ends() -> None:
    assert """http-check expect string '"status":"ok"'\n""" in BALANCER
    (inter_s, fall) = re.findall(r"^    default-server check inter (\d+)s fall (\d+) ", BALANCER, re.MULTILINE)[0]
    assert int(inter_s) * (int(fall) + 1) < Server().leave_s
    for name in REPLICAS:
        assert SERVICES[name]["stop_signal"] == "SIGUSR1"
        at_most_s = Server().leave_s + LEFT_WITHIN_S + ENDS_WITHIN_S
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > at_most_s


def test_the_image_can_speak_to_the_database() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    (pins,) = re.findall(r"-r (requirements-postgres\.txt)", dockerfile)
    assert re.search(r"^psycopg-binary==", (ROOT / pins).read_text("utf-8"), re.MULTILINE)
    assert f"!{pins}" in (ROOT / ".dockerignore").read_text("utf-8").splitlines()


def test_prometheus_scrapes_every_replica_itself_and_has_its_rules() -> None:
    prometheus = SERVICES["prometheus"]
    (folder,) = [source for source, target, *_ in mounts(prometheus) if target == "/etc/prometheus"]
    assert "--config.file=/etc/prometheus/prometheus.yml" in prometheus["command"]
    config = yaml.safe_load((ROOT / folder / "prometheus.yml").read_text("utf-8"))
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "reelgate"
    assert job["static_configs"] == [{"targets": [f"{name}:8080" for name in REPLICAS]}]
    for name in config["rule_files"]:
        assert (ROOT / folder / name).is_file()
    assert all("outside" in SERVICES[name]["networks"] for name in [*REPLICAS, *SEEING])


def test_grafana_finds_prometheus_and_the_dashboard_where_they_are() -> None:
    source = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text("utf-8"))
    (prometheus,) = source["datasources"]
    assert (prometheus["type"], prometheus["url"]) == ("prometheus", "http://prometheus:9090")
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text("utf-8"))
    assert prometheus["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "reelgate.yaml").read_text("utf-8"))["providers"]
    folders = {target: source for source, target, *_ in mounts(SERVICES["grafana"])}
    assert folders["/etc/grafana/provisioning"] == "./" + str(PROVISIONING.relative_to(ROOT))
    dashboards = ROOT / folders[provider["options"]["path"]]
    assert [path.name for path in dashboards.iterdir()] == ["reelgate.json"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/reelgate.json"


def test_whoever_looks_at_grafana_can_change_nothing() -> None:
    said = SERVICES["grafana"]["environment"]
    assert said["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert (said["GF_AUTH_DISABLE_LOGIN_FORM"], said["GF_AUTH_BASIC_ENABLED"]) == ("true", "false")
    assert said["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"


def test_the_unit_for_systemd_says_what_the_program_understands() -> None:
    unit = (ROOT / "deploy" / "reelgate.service").read_text("utf-8")
    (words,) = re.findall(r"^ExecStart=/opt/reelgate/bin/reelgate (.+)$", unit, re.MULTILINE)
    command = typer.main.get_command(build(["serve"]))
    name, *arguments = words.split()
    with command.make_context("reelgate", [name], resilient_parsing=True) as context:
        _, serve, _ = command.resolve_command(context, [name])  # type: ignore[attr-defined]  # it is a group
        assert serve is not None
        said = serve.make_context(name, arguments, parent=context).params
    assert (str(said["config"]), said["workers"]) == ("/etc/reelgate/config.yaml", 2)  # SIGHUP stops a single process
    assert "\nRestart=always\n" in unit  # should somebody make it one, it comes back with the new configuration
    (stop_s,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert int(stop_s) > ENDS_WITHIN_S
    assert "ExecReload=/bin/kill -HUP $MAINPID\n" in unit
