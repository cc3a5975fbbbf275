"""What this service is made of; swap a part by changing its import."""

from .accounts.{{ "none" if cookiecutter.auth == "none" else "development" if cookiecutter.persistence == "none" else "database" }} import account_commands, account_routes, open_accounts
from .auth.{{ cookiecutter.auth }} import AMBIENT, auth_routes, open_authenticator
from .broker.{{ cookiecutter.broker }} import open_broker
from .coordination.{{ cookiecutter.broker }} import open_coordination
from .features import chat, echo, personal
from .history.{{ cookiecutter.broker if cookiecutter.persistence == "none" else cookiecutter.persistence }} import history_commands, open_history
from .presence.{{ cookiecutter.broker }} import open_presence
from .server.{{ "alone" if cookiecutter.broker == "memory" else "workers" }} import serve

TITLE = "{{ cookiecutter.project_name | escaped }}"
FEATURES = (chat.feature, echo.feature, personal.feature)
COMMANDS = (*history_commands, *account_commands(open_history))

__all__ = [
    "AMBIENT",
    "COMMANDS",
    "FEATURES",
    "TITLE",
    "account_routes",
    "auth_routes",
    "open_accounts",
    "open_authenticator",
    "open_broker",
    "open_coordination",
    "open_history",
    "open_presence",
    "serve",
]
