"""Who is in no registry can't be suspended or revoked: nothing of that name is found."""

import pytest

from tests.cli.test_trust_commands import Desk, desk

__all__ = ["desk"]


@pytest.mark.parametrize("command", ["suspend", "revoke"])
@pytest.mark.parametrize("name", ["zz-nobody", "Nobody at all"])
async def test_a_member_that_the_registry_lacks_is_not_found(
    desk: Desk,
    command: str,
    name: str,
) -> None:
    assert await desk.sign("cairo", command, name) == "MQ-TRUST-NO-MEMBER"
