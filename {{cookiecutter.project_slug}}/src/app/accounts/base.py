"""The contract of accounts: routes that give tokens, where the service gives any."""

from dataclasses import dataclass, field

from fastapi import APIRouter


@dataclass(frozen=True)
class Accounts:
    """What signing in adds to the service."""

    router: APIRouter = field(default_factory=APIRouter)
