"""What this service is made of; swap a part by changing its import."""

from .accounts.{{ "none" if cookiecutter.auth == "none" else "development" }} import open_accounts
from .auth.{{ cookiecutter.auth }} import AMBIENT, auth_routes, open_authenticator
from .broker.{{ cookiecutter.broker }} import open_broker
from .coordination.{{ cookiecutter.broker }} import open_coordination
from .features import chat, echo, personal
from .history.{{ cookiecutter.broker if cookiecutter.persistence == "none" else cookiecutter.persistence }} import open_history
from .presence.{{ cookiecutter.broker }} import open_presence

TITLE = "{{ cookiecutter.project_name | escaped }}"
FEATURES = (chat.feature, echo.feature, personal.feature)

__all__ = [
    "AMBIENT",
    "FEATURES",
    "TITLE",
    "auth_routes",
    "open_accounts",
    "open_authenticator",
    "open_broker",
    "open_coordination",
    "open_history",
    "open_presence",
]
