"""The demo page: what is served with it, what it may load, and where it is off."""

import re
from collections.abc import Iterator
from pathlib import Path
from posixpath import dirname, join, normpath

import httpx2
import pytest

from ..service import Service, running

PAGE = ("/", "/demo.json", "/demo/page.js", "/demo/style.css")
DOCUMENTS = ("/docs", "/redoc", "/openapi.json")
SHOWN = {
    "APP_ALLOWED_ORIGINS": "https://app.example.com",
    "APP_ENVIRONMENT": "production",
    "APP_DEMO": "true",
    "APP_JWT_SECRET": "a secret of 32 characters or more",
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server for real users that shows the page all the same."""
    with running(tmp_path_factory.mktemp("shown"), **SHOWN) as service:
        yield service


async def statuses(service: Service, *paths: str) -> set[int]:
    """The statuses of some paths."""
    async with service.rest() as http:
        return {(await http.get(path)).status_code for path in paths}


async def test_in_development_the_page_and_the_documents_are_there(
    service: Service, calm: None
) -> None:
    assert await statuses(service, *PAGE, *DOCUMENTS) == {200}


async def test_in_production_they_are_not(production: Service) -> None:
    assert await statuses(production, *PAGE, *DOCUMENTS) == {404}
    assert await statuses(production, "/livez", "/readyz", "/health") == {200}


async def test_in_production_they_are_where_that_was_asked_for(shown: Service) -> None:
    assert await statuses(shown, *PAGE, *DOCUMENTS) == {200}


@pytest.mark.parametrize("path", ["/", "/demo/page.js", "/demo/style.css", "/demo/icon.svg"])
async def test_the_page_may_load_nothing_but_its_own(
    visitor: httpx2.AsyncClient, path: str
) -> None:
    response = await visitor.get(path)
    assert response.status_code == 200
    policy = dict(
        directive.split(" ", 1)
        for directive in response.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"


async def test_everything_that_the_page_names_is_served(visitor: httpx2.AsyncClient) -> None:
    page = await visitor.get("/")
    assert page.headers["content-type"].startswith("text/html")
    named = {join("/", name) for name in re.findall(r'(?:src|href)="(/?demo/[^"]+)"', page.text)}
    assert named
    about = (await visitor.get("/demo.json")).json()
    named |= {f"/demo/auth/{about['auth']}.js", f"/demo/accounts/{about['accounts']}.js"}
    seen: set[str] = set()
    while named - seen:
        path = (named - seen).pop()
        seen.add(path)
        response = await visitor.get(path)
        assert response.status_code == 200, path
        imported = re.findall(r'^import .* from "(\.[^"]+)"', response.text, re.MULTILINE)
        named |= {normpath(join(dirname(path), name)) for name in imported}
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|style=", page.text)


async def test_the_page_learns_what_this_service_is(visitor: httpx2.AsyncClient) -> None:
    about = (await visitor.get("/demo.json")).json()
    assert about.keys() == {"title", "auth", "accounts", "namespaces", "offer"}
    assert "chat" in about["namespaces"]
    kept = about["accounts"] == "database"
    assert about["offer"] == ({"registration": True, "made_up": True} if kept else None)


@pytest.mark.parametrize("registration", [None, "true"])
async def test_in_production_it_makes_nobody_up_and_offers_what_is_allowed(
    tmp_path: Path, registration: str | None
) -> None:
    with running(tmp_path, APP_REGISTRATION=registration, **SHOWN) as service:
        async with service.rest() as http:
            about = (await http.get("/demo.json")).json()
    allowed = {"registration": registration is not None, "made_up": False}
    assert about["offer"] == (allowed if about["accounts"] == "database" else None)


@pytest.mark.parametrize(
    "path", ["/demo/nope.js", "/demo/../page.py", "/demo/%2e%2e/page.py", "/demo/..%2fpage.py"]
)
async def test_nothing_else_is_served(visitor: httpx2.AsyncClient, path: str) -> None:
    assert (await visitor.get(path)).status_code == 404
