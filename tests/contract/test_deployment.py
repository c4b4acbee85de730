"""compose, the chart and the images keep to what services promise: no engine, no cluster needed."""

import json
import re
import shutil
import subprocess
import tomllib
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic_settings import BaseSettings

from audit_sink.append import GROUP as AUDIT_GROUP
from audit_sink.settings import Settings as AuditSettings
from contract.targets import parse_targets
from contract.topics import MODEL_OUTPUTS, REVIEW_ITEMS, TOPICS
from dispatcher.settings import DispatcherSettings
from intake.effects import GROUP as INTAKE_GROUP
from intake.settings import IntakeSettings
from placet import deployment
from placet.keys import ROLES
from review_api.settings import ApiSettings, WorkerSettings
from review_api.worker import ITEMS_GROUP

yaml = pytest.importorskip("yaml", reason="NOT RUN: PyYAML is not installed")

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "placet"
SETTINGS: dict[str, type[BaseSettings]] = {
    "intake": IntakeSettings,
    "review-api": ApiSettings,
    "review-worker": WorkerSettings,
    "dispatcher": DispatcherSettings,
    "audit-sink": AuditSettings,
}
IMAGES = {
    "services/intake": "placet-intake",
    "services/review-api": "placet-review-api",
    "services/dispatcher": "placet-dispatcher",
    "services/audit-sink": "placet-audit-sink",
    "cli": "placet",
}
BLOCKS = {
    "intake": "intake",
    "review-api": "reviewApi",
    "review-worker": "reviewWorker",
    "dispatcher": "dispatcher",
    "audit-sink": "auditSink",
}
PARTITIONS = min(topic.partitions for topic in TOPICS.values())

each_service = pytest.mark.parametrize("service", list(SETTINGS))


def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))


def values() -> dict[str, Any]:
    return yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))


def templates() -> dict[str, str]:
    return {file.name: file.read_text("utf-8") for file in CHART.glob("templates/**/*.*")}


def read_by(service: str) -> set[str]:
    return {f"PLACET_{name.upper()}" for name in SETTINGS[service].model_fields}


def needed_by(service: str) -> set[str]:
    fields = SETTINGS[service].model_fields
    return {f"PLACET_{name.upper()}" for name, field in fields.items() if field.is_required()}


def named_volumes(service: dict[str, Any]) -> list[list[str]]:
    return [volume.split(":") for volume in service["volumes"] if isinstance(volume, str)]


# --- one list of services everywhere


def test_every_service_is_in_compose_in_the_chart_and_in_what_prepare_writes() -> None:
    assert set(SETTINGS) <= set(compose()["services"])
    assert set(BLOCKS.values()) <= set(values())
    assert {f"{service}.yaml" for service in SETTINGS} <= set(templates())
    assert set(deployment.SHARES) == set(SETTINGS)


# --- variables


@each_service
def test_compose_gives_a_service_what_it_needs_and_nothing_it_does_not_read(service: str) -> None:
    given = set(compose()["services"][service]["environment"]) - {"PGPASSFILE"}
    assert needed_by(service) <= given
    assert given <= read_by(service)


@each_service
def test_prepared_variables_are_ones_the_service_reads(service: str) -> None:
    share = deployment.SHARES[service]
    dsns = dict.fromkeys(ROLES, "postgresql://")
    written = set(deployment.environment(service, Path("/x"), "k:1", dsns, "origin"))
    assert {*share.roles, *share.files, *share.places} <= written <= read_by(service)
    assert needed_by(service) - written <= {"PLACET_OPS_PORT", "PLACET_PORT", "PLACET_PUBLIC_URL",
                                            "PLACET_TARGET"}  # fmt: skip


@each_service
def test_the_chart_gives_a_service_what_it_needs_and_nothing_it_does_not_read(service: str) -> None:
    # Comments speak of other variables.
    parts = (templates()["_pod.tpl"], templates()[f"{service}.yaml"])
    text = "".join(re.sub(r"\{\{-? ?/\*.*?\*/\}\}", "", part, flags=re.DOTALL) for part in parts)
    given = set(re.findall(r"PLACET_[A-Z_]+", text))
    assert needed_by(service) <= given <= read_by(service)


# --- compose


@each_service
def test_a_service_starts_after_prepare_and_is_asked_whether_it_is_ready(service: str) -> None:
    definition = compose()["services"][service]
    assert definition["depends_on"]["prepare"] == {"condition": "service_completed_successfully"}
    assert "/readyz" in definition["healthcheck"]["test"][-1]
    for server in ("kafka", "postgres", "ledger", "vault"):
        assert "healthcheck" in compose()["services"][server]
        assert compose()["services"]["prepare"]["depends_on"][server] == {
            "condition": "service_healthy"
        }


@each_service
def test_a_service_sees_only_its_own_secrets_and_cannot_write_its_file_system(service: str) -> None:
    definition = compose()["services"][service]
    assert definition["read_only"] is True
    assert definition["cap_drop"] == ["ALL"]
    seen = {name: rest for name, *rest in named_volumes(definition)}
    writable = {name for name, rest in seen.items() if rest[-1] != "ro"}
    assert set(seen) - writable == {service}
    assert writable == ({"audit-log", "audit-cold"} if service == "audit-sink" else set())


@each_service
def test_files_that_compose_names_are_files_that_prepare_writes(service: str) -> None:
    folder = f"/var/lib/placet/{service}"
    environment = compose()["services"][service]["environment"]
    share = deployment.SHARES[service]
    for variable, name in share.files.items():
        assert environment[variable] == (f"{folder}/{name}" if name else folder)
    if share.roles:
        assert environment["PGPASSFILE"] == f"{folder}/{deployment.PASSWORDS}"
    for variable, role in share.roles.items():
        assert environment[variable].startswith(f"postgresql://{role}@")
    for variable, place in share.places.items():
        assert environment[variable] == str(place)


def test_everything_published_is_on_loopback() -> None:
    published = [port for one in compose()["services"].values() for port in one.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_every_volume_and_network_is_declared() -> None:
    document = compose()
    for one in document["services"].values():
        assert set(one["networks"]) <= set(document["networks"])
        assert {name for name, *_ in named_volumes(one)} <= set(document["volumes"])


def test_the_broker_is_the_version_we_test_on_and_takes_our_largest_record() -> None:
    kafka = compose()["services"]["kafka"]
    tested = re.search(r"kafka_2\.13:([\d.]+)", files("placet").joinpath("kafka.lock").read_text())
    assert tested
    assert kafka["image"] == f"apache/kafka:{tested[1]}"
    largest = max(topic.max_message_bytes for topic in TOPICS.values())
    assert int(kafka["environment"]["KAFKA_MESSAGE_MAX_BYTES"]) >= largest
    assert kafka["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_the_demonstration_in_compose_is_the_one_of_the_local_stack() -> None:
    text = files("placet.demo").joinpath("targets.toml").read_text("utf-8")
    url = "http://dispatcher:8081"
    dsn_file = "/var/lib/placet/dispatcher/support-faq.dsn"
    local = Template(text).substitute(dsn_file=dsn_file, dispatcher_url=url, hold="5")
    here = (ROOT / "config" / "compose" / "targets.toml").read_text("utf-8")
    assert parse_targets(here) == parse_targets(local)


def test_the_desk_finds_a_dispatcher_where_it_listens() -> None:
    environment = compose()["services"]["dispatcher"]["environment"]
    text = (ROOT / "config" / "compose" / "targets.toml").read_text("utf-8")
    for target in parse_targets(text).values():
        url = urlsplit(target.dispatcher_url)
        assert (url.hostname, str(url.port)) == ("dispatcher", environment["PLACET_PORT"])
    assert environment["PLACET_HOST"] == "0.0.0.0"
    chart = templates()["dispatcher.yaml"]
    [port] = re.findall(r'"PLACET_PORT" "(\d+)"', chart)
    assert f'"name" "snapshots" "port" {port}' in chart
    assert '"PLACET_HOST" "0.0.0.0"' in chart
    assert "hostAliases" not in "".join(templates().values())


# --- images


@pytest.mark.parametrize("folder", list(IMAGES))
def test_an_image_runs_one_process_of_ours_as_nobody(folder: str) -> None:
    text = (ROOT / folder / "Dockerfile").read_text("utf-8")
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert bases == ["python:3.11-slim"] * 2
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001:10001"]
    assert "--constraints requirements.lock --build-constraints requirements.lock" in text
    command = re.search(r"^(?:ENTRYPOINT|CMD) (\[.*\])$", text, re.MULTILINE)
    assert command
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))["project"]
    assert json.loads(command[1]) == [IMAGES[folder]]
    assert IMAGES[folder] in project["scripts"]


# --- chart


def test_replicas_never_exceed_the_partitions() -> None:
    schema = json.loads((CHART / "values.schema.json").read_bytes())
    scaling = schema["definitions"]["autoscaling"]["properties"]
    assert scaling["max"]["maximum"] == scaling["min"]["maximum"] == PARTITIONS
    for block in ("intake", "reviewWorker"):
        replicas = schema["properties"][block]["properties"]["replicas"]
        assert replicas["maximum"] == PARTITIONS
        ours = values()[block]
        assert ours["replicas"] <= PARTITIONS
        assert ours["autoscaling"]["min"] <= ours["autoscaling"]["max"] <= PARTITIONS
    for alone in ("dispatcher", "auditSink"):
        assert "replicas" not in schema["properties"][alone]["properties"]


def test_autoscaling_looks_at_the_groups_and_topics_there_are() -> None:
    text = templates()["autoscaling.yaml"]
    found = re.findall(r'"component" "(.*?)".*"group" "(.*?)" "topic" "(.*?)"', text)
    assert found == [
        ("intake", INTAKE_GROUP, MODEL_OUTPUTS),
        ("review-worker", ITEMS_GROUP, REVIEW_ITEMS),
    ]
    assert AUDIT_GROUP not in text


def test_the_chart_s_policy_is_the_repository_s() -> None:
    ours = tomllib.loads((ROOT / "config" / "policy.toml").read_text("utf-8"))
    assert tomllib.loads(values()["configuration"]["policy"]) == ours


def rendered(*options: str) -> list[dict[str, Any]]:
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("NOT RUN: no helm on PATH")
    command = [helm, "template", "placet", str(CHART), "--kube-version", "1.33.0", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


TARGET = ("--set", "dispatcher.targets[0].name=crm", "--set", "dispatcher.targets[0].secret=crm")


def pods(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {}
    for one in documents:
        if one["kind"] in {"Deployment", "Job"}:
            found[one["metadata"]["name"]] = one["spec"]["template"]
        elif one["kind"] == "Pod":
            found[one["metadata"]["name"]] = one
    return found


def test_every_pod_is_nobody_reads_only_and_knows_no_api_server() -> None:
    found = pods(rendered(*TARGET))
    assert len(found) == len(SETTINGS) + 2  # prepare, test
    for pod in found.values():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert "limits" in container["resources"]


def test_every_pod_has_a_policy_of_its_own_under_a_default_deny() -> None:
    documents = rendered(*TARGET)
    policies = [one["spec"] for one in documents if one["kind"] == "NetworkPolicy"]
    denying = [one for one in policies if one["policyTypes"] == ["Ingress", "Egress"]]
    assert [set(one) for one in denying] == [{"podSelector", "policyTypes"}]
    for pod in pods(documents).values():
        labels = pod["metadata"]["labels"]
        assert denying[0]["podSelector"]["matchLabels"].items() <= labels.items()
        assert any(
            one["podSelector"]["matchLabels"].items() <= labels.items()
            and one["policyTypes"] == ["Egress"]
            for one in policies
        )


@pytest.mark.parametrize(
    "setting",
    [
        "intake.replicas=13",
        "reviewWorker.autoscaling.max=13",
        "auditSink.replicas=2",
        "dispatcher.replicas=2",
        "kafka.bootstrap=kafka",
        "nonsense=1",
    ],
)
def test_values_that_cannot_work_are_refused(setting: str) -> None:
    with pytest.raises(AssertionError, match="values don't meet the specifications"):
        rendered("--set", setting)
