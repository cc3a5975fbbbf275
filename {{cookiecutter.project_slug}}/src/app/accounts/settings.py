"""What is decided about accounts: who may have one, and how long a sign-in lasts."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from ..auth.revocation import LONGEST_SECONDS
from ..settings import Count, Section

LONGEST_REFRESH_SECONDS = 10 * 365 * 86_400


class AccountSettings(Section):
    """Who may register, how long tokens are good for, and how often a minute one may try."""

    registration: bool | None = None
    access_seconds: Annotated[int, Field(ge=1, lt=LONGEST_SECONDS)] = 900
    refresh_seconds: Annotated[int, Field(ge=1, le=LONGEST_REFRESH_SECONDS)] = 30 * 86_400
    sign_ins_per_name: Count = 10
    """From one address, so that nobody keeps others out by trying their names."""
    sign_ins_per_name_everywhere: Count = 300
    sign_ins_per_address: Count = 60

    @property
    def registers(self) -> bool:
        """Whether anybody may have an account: in production only where that was said."""
        return not self.in_production if self.registration is None else self.registration

    def complaints(self) -> Iterator[str]:
        """What renews a token is known for as long as the token is good, at least."""
        if self.access_seconds > self.refresh_seconds:
            yield (
                f"APP_ACCESS_SECONDS: {self.access_seconds} is more than APP_REFRESH_SECONDS,"
                f" {self.refresh_seconds}; what renews a token has to outlast it"
            )
