"""What people say in a room."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class ChatMessage(BaseModel):
    """The `data` of a publication in `chat:<room>`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    text: Annotated[str, Field(min_length=1, max_length=4000)]
