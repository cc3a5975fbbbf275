"""Negotiates compression such that one compressed frame serves all its recipients (RFC 7692)."""

from collections.abc import Sequence

from websockets.exceptions import NegotiationError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.typing import ExtensionParameter

from ..protocol.frames import WINDOW_BITS


class SharedDeflate(ServerPerMessageDeflateFactory):
    """Accepts permessage-deflate without context on either side; nothing is kept in between."""

    def __init__(self) -> None:
        super().__init__(
            server_no_context_takeover=True,
            client_no_context_takeover=True,
            server_max_window_bits=WINDOW_BITS,
            client_max_window_bits=12,
        )

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """Answer one offer; raises NegotiationError, which declines it."""
        answer, extension = super().process_request_params(params, accepted_extensions)
        if extension.local_max_window_bits < WINDOW_BITS:
            # Frames are not made anew for one recipient, nor worse for all: it gets them plain.
            raise NegotiationError("a smaller window than that of shared frames")
        return answer, extension


EXTENSIONS = [SharedDeflate()]
"""What every connection is offered, where compression is on."""
