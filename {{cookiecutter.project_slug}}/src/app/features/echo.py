"""Echo: any JSON, to everybody in the channel; nothing is kept. For trying things out."""

from ..auth.policy import ECHO
from ..protocol.commands import Json
from ..realtime.namespaces import Namespace
from .base import Feature

feature = Feature(Namespace("echo", payload=Json, policy=ECHO))
