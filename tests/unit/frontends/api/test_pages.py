"""The pages at `/` and `/docs`: nothing from elsewhere, all escaped, and examples that work."""

import argparse
import base64
import hashlib
import html
import re
import shlex
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest

from faceproof.frontends.api.pages import render_page
from support.secured import add_key
from support.service import app_of, client_of, picture

#: What makes a browser load something.
LOADS = {"src", "srcset", "action", "data", "poster", "background", "formaction", "xlink:href"}


@pytest.fixture
def client(shared_client, tmp_path):
    return shared_client(feedback={"database": str(tmp_path / "feedback.sqlite")})


class Elements(HTMLParser):
    """The names and attributes of all elements."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def commands(page):
    """Return the examples of a page as a reader copies them."""
    return [html.unescape(found) for found in re.findall(r"<pre[^>]*><code>(.*?)</code>", page)]


def curl(client, command, key=""):
    """Return the response to a curl command with the options that the pages use."""
    options = argparse.ArgumentParser()
    for letter in "HF":
        options.add_argument(f"-{letter}", action="append", default=[])
    for name in ("-X", "-d", "--data-binary"):
        options.add_argument(name)
    options.add_argument("url")
    program, *words = shlex.split(command.replace("$FACEPROOF_KEY", key))
    assert program == "curl"
    given = options.parse_args(words)
    headers = dict(one.split(": ", 1) for one in given.H)
    body = {"files": [("file", (one.partition("@")[2], picture())) for one in given.F]}
    if given.d or given.data_binary:
        body = {"content": given.d or picture()}
    method = given.X or ("POST" if given.F or "content" in body else "GET")
    return client.request(method, given.url, headers=headers, **body)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_needs_nothing_from_elsewhere(client, path):
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    elements = Elements(answer.text).found
    assert not {"script", "link", "img", "iframe", "form", "object"} & {tag for tag, _ in elements}
    assert not [name for _, attributes in elements for name in LOADS & attributes.keys()]
    links = [found["href"] for tag, found in elements if tag == "a"]
    assert all(one.startswith(("#", "http://testserver/")) for one in links)
    assert "url(" not in answer.text
    assert "@import" not in answer.text


def test_the_policy_allows_the_style_and_nothing_else(client):
    answer = client.get("/docs")
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.S)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert " style=" not in answer.text


def test_it_is_readable_in_light_and_dark(client):
    page = client.get("/").text
    assert "color-scheme: light dark" in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_a_page_has_every_route_and_parameter_of_the_document(client):
    page, document = html.unescape(client.get("/docs").text), client.app.openapi()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f"<code>{method.upper()} {path}</code>" in page
            assert f'id="{operation["operationId"]}"' in page
            assert operation["description"].replace("`", "") in re.sub(r"</?code>", "", page)
            for parameter in operation.get("parameters", []):
                assert f"<code>{parameter['name']}</code>" in page


def test_every_example_works(client, monkeypatch):
    fetched = type("Fetched", (), {"data": picture()})
    monkeypatch.setattr("faceproof.frontends.api.engine.fetch", lambda *_: fetched)
    examples = commands(client.get("/docs").text)
    assert len(examples) >= len(client.app.openapi()["paths"])
    statuses = {command: curl(client, command).status_code for command in examples}
    stored = {one for one in statuses if "/v1/feedback/0123" in one}
    assert {statuses[one] for one in stored} == {404}, "no feedback has the example's id"
    card = {one for one in statuses if one.endswith("/card")}
    others = {one: statuses[one] for one in statuses if one not in stored | card}
    assert set(others.values()) <= {200, 201}, others
    assert len([one for one in others if "/v1/check" in one]) == 7


def test_examples_of_a_service_with_keys_send_one(tiny_bundle, tmp_path):
    secret, _ = add_key(tmp_path / "keys.json")
    with client_of(tiny_bundle, guard={"keys_file": str(tmp_path / "keys.json")}) as client:
        assert client.get("/docs").status_code == 401
        page = client.get("/docs", headers={"x-api-key": secret}).text
        (asked,) = [one for one in commands(page) if one.endswith("/v1/detectors")]
        assert curl(client, asked).status_code == 401
        assert curl(client, asked, secret).status_code == 200
        (open_,) = [one for one in commands(page) if one.endswith("/healthz")]
        assert "FACEPROOF_KEY" not in open_
    assert secret not in page


def test_what_a_client_sends_is_escaped_and_quoted(client):
    host = "localhost';<script>alert(1)</script>&\"$(id)"
    page = client.get("/docs", headers={"host": "localhost:1';<b>$(id)"}).text
    assert "<b>" not in page
    text, _ = render_page(client.app.openapi(), f"http://{host}")
    assert "<script" not in text
    for command in commands(text):
        words = shlex.split(command)
        assert words[-1].startswith(f"http://{host}/"), command


def test_what_the_document_has_is_escaped(client):
    document = {**client.app.openapi(), "info": {"title": "<i>", "version": "&", "summary": "<u>"}}
    text, _ = render_page(document, "http://localhost")
    assert "<i>" not in text
    assert "<u>" not in text
    assert "&lt;u&gt;" in text


def test_addresses_are_those_that_the_client_uses(tiny_bundle):
    guard = {"tls_in_front": True, "allowed_hosts": "api.example.org"}
    with client_of(tiny_bundle, guard=guard, root_path="/faces") as client:
        page = client.get("/docs", headers={"host": "api.example.org"}).text
    urls = {shlex.split(command)[-1] for command in commands(page)}
    assert {urlsplit(url).scheme for url in urls} == {"https"}
    assert all(url.startswith("https://api.example.org/faces/") for url in urls)


def test_a_service_without_feedback_says_so(tiny_bundle):
    off = app_of(tiny_bundle)
    text, _ = render_page(off.openapi(), "http://localhost")
    assert "This service stores no feedback" in text


def test_a_service_with_feedback_does_not(client):
    assert "stores no feedback" not in client.get("/docs").text
