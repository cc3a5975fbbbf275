"""Personal channels: what servers tell one user, on all of the user's devices."""

from ..auth.policy import PERSONAL
from ..protocol.commands import Json
from ..realtime.namespaces import Namespace
from .base import Feature

feature = Feature(
    Namespace(
        "user",
        payload=Json,
        durable=True,
        policy=PERSONAL,
    )
)
