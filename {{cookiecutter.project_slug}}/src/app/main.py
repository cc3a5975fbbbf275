"""The application: the one place where its parts meet."""

import gc
import logging.config
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypedDict

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from . import __version__
from .accounts.base import Accounts
from .adapters import (
    AMBIENT,
    FEATURES,
    TITLE,
    account_routes,
    auth_routes,
    open_accounts,
    open_authenticator,
    open_broker,
    open_coordination,
    open_history,
    open_presence,
)
from .auth.dependencies import KeySettings
from .auth.origins import OriginSettings
from .auth.revocation import Revocations
from .background import open_background
from .http import channels, connections, health, metrics
from .http.errors import install_errors
from .http.nesting import NestingLimit
from .http.page import FOLDER, Modules, Page, page_router
from .http.websocket import Sockets
from .metrics import QUEUE_BYTES
from .observability import configure_structlog, log_config
from .realtime.drain import drain, until_gone
from .realtime.gate import Gate
from .realtime.guard import Guard
from .realtime.hub import Hub
from .realtime.namespaces import Directory
from .realtime.node import Node
from .realtime.wheel import Wheel
from .server.signals import departing
from .settings import DemoSettings, Limits, ServerSettings, complaints, seen_as


class State(TypedDict):
    """What requests find in `request.state`."""

    node: Node
    accounts: Accounts
    api_key: str | None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Open the parts from top to bottom, close them from bottom to top."""
    server = ServerSettings()
    logging.config.dictConfig(log_config(server))
    limits, demo, wheel = Limits(), DemoSettings(), Wheel()
    async with (
        open_history() as history,
        open_accounts(history) as accounts,
        open_broker() as broker,
        open_presence() as presence,
        open_coordination() as coordination,
        open_authenticator(coordination) as authenticator,
        open_background() as background,
    ):
        directory = Directory(
            (feature.namespace for feature in FEATURES),
            history,
            creates=not limits.in_production,
            lasting=[f"chat:{name}" for name in demo.rooms],
        )
        hub = Hub(broker, history, presence, coordination, limits, background)
        background.keep("wheel", wheel.run)
        wheel.schedule(1, lambda: QUEUE_BYTES.set(hub.buffered), 1)
        revocations = Revocations(coordination, broker, accounts.record)
        background.keep("guard", Guard(hub, revocations).run)
        node = Node(
            hub,
            directory,
            authenticator,
            revocations,
            wheel,
            limits,
            Gate(limits),
            overrides=lambda: app.dependency_overrides,
        )
        # A collection need not look at what lives as long as the process, nor come so often.
        gc.freeze()
        gc.set_threshold(10_000)
        leave = partial(drain, node, server.drain_window)
        with departing(leave, background.spawn, server.closing_seconds):
            yield {**State(node=node, accounts=accounts, api_key=KeySettings().api_key)}
            # uvicorn does not wait for the sessions that it cancels; they still use the parts.
            await until_gone(hub.sessions, server.closing_seconds / 8)


def create_app() -> FastAPI:
    """The application, for `uvicorn app.main:app` and for tests."""
    if found := complaints():
        raise SystemExit("\n".join(("The service does not start:", *found)))
    configure_structlog()
    demo = DemoSettings()
    documented = {} if demo.shown else {"openapi_url": None}
    app = FastAPI(title=TITLE, version=__version__, lifespan=lifespan, **documented)  # type: ignore[arg-type]
    app.add_middleware(NestingLimit)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=Limits().max_message_bytes)
    if origins := OriginSettings().allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("DELETE", "GET", "PATCH", "POST", "PUT"),
            allow_headers=("Authorization", "Content-Type"),
            allow_credentials=AMBIENT,
            expose_headers=("Retry-After", "WWW-Authenticate"),
        )
    # Before all those, whose coroutines would last as long as each connection.
    app.add_middleware(Sockets)
    if proxies := ServerSettings().trusted_proxies:
        # Only what these say of a client is believed; else it costs a coroutine per connection.
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=seen_as(proxies))
    install_errors(app)
    for router in (
        health.router,
        metrics.router,
        channels.router,
        connections.router,
        auth_routes,
        account_routes,
    ):
        app.include_router(router)
    for feature in FEATURES:
        if feature.router is not None:
            app.include_router(feature.router)
    if demo.shown:
        namespaces = [feature.namespace.name for feature in FEATURES]
        auth, accounts = (
            part.__module__.rpartition(".")[2] for part in (open_authenticator, open_accounts)
        )
        page = Page(title=TITLE, auth=auth, accounts=accounts, namespaces=namespaces)
        app.include_router(page_router(page))
        app.mount("/demo", Modules(directory=FOLDER))
    return app


app = create_app()
