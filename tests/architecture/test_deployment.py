"""What deploy/ and compose.proxy.yaml promise, against their schemas and against the service."""

import re
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
settings = pytest.importorskip("faceproof.frontends.api.settings", exc_type=ImportError)

PREFIX = settings.PREFIX
ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
MANIFEST = (ROOT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8")
OBJECTS = {one["kind"]: one for one in yaml.safe_load_all(MANIFEST)}
POD = OBJECTS["Deployment"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
OVERLAY_TEXT = (ROOT / "compose.proxy.yaml").read_text(encoding="utf-8")
OVERLAY = yaml.safe_load(OVERLAY_TEXT)
COMPOSE_TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
NGINX = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
DEFAULTS = {name: field.default for name, field in settings.ServiceSettings.model_fields.items()}
#: The kinds of the manifest, and the release of Kubernetes whose schemas they are held against.
KINDS = {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
KUBERNETES = "1.34"


def nginx(name: str) -> str:
    """Return the arguments of a directive that has the same wherever it is."""
    found = set(re.findall(rf"^\s*{name} (.+);$", NGINX, re.MULTILINE))
    assert len(found) == 1, (name, found)
    return found.pop()


def seconds(name: str) -> float:
    return float(nginx(name).removesuffix("s"))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_object_fits_the_schema_of_kubernetes(kind):
    validator = pytest.importorskip("kubernetes_validate")
    validator.validate(OBJECTS[kind], KUBERNETES, strict=True)


def test_a_wrong_object_does_not_fit_the_schema():
    validator = pytest.importorskip("kubernetes_validate")
    wrong = OBJECTS["Service"] | {"spec": {"ports": [{"port": "http"}]}}
    with pytest.raises(validator.ValidationError):
        validator.validate(wrong, KUBERNETES, strict=True)


@pytest.mark.parametrize("text", [COMPOSE_TEXT, OVERLAY_TEXT], ids=["compose", "proxy"])
def test_compose_files_fit_the_compose_specification(text):
    compose = pytest.importorskip("compose_spec").PyCompose
    assert set(compose.from_yaml(text).service_names()) == set(yaml.safe_load(text)["services"])
    with pytest.raises(Exception, match="pids_limit"):
        compose.from_yaml(text.replace("pids_limit: ", "pids_limit: many"))


def test_the_manifest_has_these_objects_and_they_belong_together():
    assert set(OBJECTS) == KINDS
    labels = OBJECTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert OBJECTS["Service"]["spec"]["selector"] == labels
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert OBJECTS[kind]["spec"]["selector"]["matchLabels"] == labels
    target = OBJECTS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "faceproof")
    (port,) = OBJECTS["Service"]["spec"]["ports"]
    assert port["targetPort"] == CONTAINER["ports"][0]["name"]


def test_the_container_is_that_of_the_project_and_its_command_is_known():
    import typer.main

    from faceproof.cli import app

    assert CONTAINER["image"] == f"faceproof:{VERSION}"
    verb, *options = CONTAINER["args"]
    serve = typer.main.get_command(app).commands[verb]
    assert set(options[::2]) <= {name for one in serve.params for name in one.opts}
    given = dict(zip(options[::2], options[1::2], strict=True))
    assert given["--port"] == str(CONTAINER["ports"][0]["containerPort"])


def test_the_pod_has_no_rights_and_writes_nothing():
    assert POD["automountServiceAccountToken"] is False
    assert POD["securityContext"]["runAsNonRoot"] is True
    user = {POD["securityContext"][name] for name in ("runAsUser", "runAsGroup", "fsGroup")}
    (image_user,) = re.findall(
        r"^USER (\d+):\d+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert user == {int(image_user)}
    rights = CONTAINER["securityContext"]
    assert rights["readOnlyRootFilesystem"] is True
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert set(CONTAINER["resources"]["limits"]) == {"cpu", "memory"}
    writable = {one["mountPath"] for one in CONTAINER["volumeMounts"] if not one.get("readOnly")}
    assert writable == {"/tmp"}


def test_probes_ask_what_the_service_answers():
    assert CONTAINER["livenessProbe"]["httpGet"]["path"] == "/healthz"
    for name in ("startupProbe", "readinessProbe"):
        assert CONTAINER[name]["httpGet"]["path"] == "/readyz"
    for name in ("livenessProbe", "startupProbe", "readinessProbe"):
        get = CONTAINER[name]["httpGet"]
        assert get["httpHeaders"] == [{"name": "Host", "value": "localhost"}]
        assert get["port"] == CONTAINER["ports"][0]["name"]


def test_settings_are_known_and_strangers_need_a_key():
    given = {one["name"]: one["value"] for one in CONTAINER["env"]}
    overlay = OVERLAY["services"]["faceproof"]["environment"]
    assert all(name.startswith(PREFIX) for name in (*given, *overlay))
    assert {*given, *overlay} <= set(settings.variable_names())
    (keys,) = [one for one in CONTAINER["volumeMounts"] if one["name"] == "keys"]
    assert given[f"{PREFIX}GUARD__KEYS_FILE"] == f"{keys['mountPath']}/keys.json"
    assert float(given[f"{PREFIX}GUARD__REQUESTS_PER_MINUTE"]) > 0
    cores = CONTAINER["resources"]["limits"]["cpu"]
    assert given[f"{PREFIX}OPENING_THREADS"] == given[f"{PREFIX}JUDGING_THREADS"] == cores
    (volume,) = [one for one in POD["volumes"] if one["name"] == "keys"]
    assert volume["secret"]["defaultMode"] & 0o027 == 0, "the service would refuse the file"


def test_the_pod_has_time_to_finish():
    pause = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert POD["terminationGracePeriodSeconds"] > pause + DEFAULTS["shutdown_seconds"]


def test_there_is_no_secret_in_any_file():
    assert "Secret" not in OBJECTS
    assert all(set(one) == {"file"} for one in OVERLAY["secrets"].values())
    for text in (MANIFEST, OVERLAY_TEXT, NGINX):
        assert not re.search(r"(?i)(password|api_?key)\s*[:=]|BEGIN [A-Z ]*PRIVATE KEY", text)
        assert "NOT DEPLOYED" in text


def test_the_proxy_has_the_sizes_and_times_of_the_service():
    assert nginx("client_max_body_size") == f"{DEFAULTS['max_body_bytes'] // 2**20}m"
    assert seconds("client_header_timeout") == DEFAULTS["head_seconds"]
    assert seconds("client_body_timeout") == DEFAULTS["upload_seconds"]
    assert seconds("send_timeout") == DEFAULTS["head_seconds"]
    assert seconds("keepalive_timeout") < DEFAULTS["keep_alive_seconds"]
    assert seconds("proxy_read_timeout") > DEFAULTS["upload_seconds"] + DEFAULTS["answer_seconds"]
    assert nginx("proxy_request_buffering") == "off", "bodies would be written to a disk"


def test_the_proxy_passes_the_clients_address_and_nothing_else_that_is_believed():
    headers = dict(re.findall(r"proxy_set_header (\S+) (.+);", NGINX))
    assert headers == {
        "Connection": '""',
        "Host": "$host",
        "X-Forwarded-For": "$proxy_add_x_forwarded_for",
        "X-Forwarded-Prefix": '""',
    }
    assert re.search(r"location = /metrics \{\s+return 404;", NGINX)


def test_the_proxy_is_the_one_that_the_service_trusts():
    proxy = OVERLAY["services"]["proxy"]
    service = OVERLAY["services"]["faceproof"]
    address = proxy["networks"]["front"]["ipv4_address"]
    assert service["environment"][f"{PREFIX}GUARD__TRUSTED_PROXIES"] == address
    (port,) = proxy["ports"]
    assert nginx("listen") == f"{port.partition(':')[2]} ssl"
    assert set(proxy["secrets"]) == {
        Path(nginx(name)).name for name in ("ssl_certificate", "ssl_certificate_key")
    }
    assert nginx("server") == "faceproof:8000"
    assert nginx("proxy_pass") == "http://faceproof"
    assert (proxy["read_only"], proxy["cap_drop"]) == (True, ["ALL"])
    for place in re.findall(r"_temp_path (\S+);", NGINX):
        assert place.startswith("/tmp/")
