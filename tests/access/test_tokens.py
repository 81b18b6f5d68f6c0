"""Tokens: how they are made, kept and found."""

import hmac
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from becas_ft.access import tokens
from becas_ft.access.roles import Role
from becas_ft.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the tokens are kept."""
    return tmp_path / "access" / "tokens.json"


def test_only_the_hash_is_kept(path: Path) -> None:
    """A token has 256 random bits and a prefix; its file has none of it, and is its owner's alone."""
    secret = tokens.add(path, "bot-1", Role.BOT).secret
    other = tokens.add(path, "bot-2", Role.BOT).secret

    assert secret.startswith("becas_ft_")
    assert len(secret) == len("becas_ft_") + 43
    assert secret != other
    assert secret.removeprefix("becas_ft_") not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["tokens.json"]


def test_a_token_is_found_by_itself_only(path: Path) -> None:
    """The whole token finds its entry; a part, another, or nothing finds none."""
    issued = tokens.add(path, "bot-1", Role.BOT)
    found = tokens.Tokens(path)

    assert found.find(issued.secret) == issued.token
    for wrong in ("", "becas_ft_", issued.secret[:-1], issued.secret + "A", issued.token.sha256):
        assert found.find(wrong) is None


def test_every_hash_is_compared_in_constant_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever token it is, or none: each hash is compared, by the function that takes as long for every answer."""
    secrets = [tokens.add(path, f"bot-{number}", Role.BOT).secret for number in range(5)]
    found, compared = tokens.Tokens(path), []
    compare = hmac.compare_digest

    def counted(one: str, other: str) -> bool:
        compared.append(len(one) == len(other) == 64)
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    for secret in (secrets[0], secrets[4], "becas_ft_unknown"):
        compared.clear()
        found.find(secret)
        assert compared == [True] * 5


def test_changes_are_seen_at_once(path: Path) -> None:
    """Added, revoked, and the whole file taken away: each counts from the next look on."""
    first = tokens.add(path, "bot-1", Role.BOT)
    followed = tokens.Tokens(path)
    second = tokens.add(path, "bot-2", Role.BOT)
    assert followed.find(second.secret) == second.token

    tokens.revoke(path, "bot-1")
    assert followed.find(first.secret) is None
    assert not followed.holds(first.token)
    assert followed.holds(second.token)

    path.unlink()
    assert followed.find(second.secret) is None


def test_a_name_that_comes_back_is_another_token(path: Path) -> None:
    """A stream of a revoked token ends even where its name was given again."""
    first = tokens.add(path, "bot-1", Role.BOT)
    followed = tokens.Tokens(path)
    tokens.revoke(path, "bot-1")
    tokens.add(path, "bot-1", Role.BOT)

    assert not followed.holds(first.token)


def test_a_broken_file_takes_nothing_away(path: Path) -> None:
    """What was there before counts on, until the file is mended; to begin with it is an error that quotes nothing."""
    issued = tokens.add(path, "bot-1", Role.BOT)
    followed = tokens.Tokens(path)
    path.write_text(f'{{"version": 1, "tokens": ["{issued.secret}"]}}')

    assert followed.find(issued.secret) == issued.token
    with pytest.raises(tokens.TokenFileError, match=r"tokens\.json: unusable at tokens\.0") as caught:
        tokens.Tokens(path)
    assert issued.secret not in str(caught.value)
    assert caught.value.__cause__ is None
    # No file may show a token in the end.
    path.unlink()


def test_a_file_that_others_may_write_is_refused(path: Path) -> None:
    """Whoever could write it could make a token for himself."""
    tokens.add(path, "bot-1", Role.BOT)
    path.chmod(0o620)

    with pytest.raises(tokens.TokenFileError, match="others may write it: chmod 600"):
        tokens.read(path)


def test_a_newer_file_is_refused(path: Path) -> None:
    """A version that this program does not know is not guessed at."""
    tokens.add(path, "bot-1", Role.BOT)
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))

    with pytest.raises(tokens.TokenFileError, match="unusable at version"):
        tokens.read(path)


def test_expiry(path: Path) -> None:
    """A token is over from its time on; one that is over already is not made."""
    soon = datetime.now(UTC) + timedelta(hours=1)
    issued = tokens.add(path, "bot-1", Role.BOT, soon)

    assert not issued.token.expired
    assert issued.token.model_copy(update={"expires": datetime.now(UTC)}).expired
    with pytest.raises(InvalidArgumentError, match="--expires"):
        tokens.add(path, "bot-2", Role.BOT, datetime.now(UTC))


@pytest.mark.parametrize("name", ["", "Bot", "a b", "-bot", "bot\n", "x" * 64, "böt"])
def test_names_are_plain(path: Path, name: str) -> None:
    """A name stands in logs: short, plain, one word."""
    with pytest.raises(InvalidArgumentError, match="NAME"):
        tokens.add(path, name, Role.BOT)

    assert not path.exists()


def test_names_are_unique(path: Path) -> None:
    """A second token of a name is refused, as is revoking one that is not there."""
    tokens.add(path, "bot-1", Role.BOT)

    with pytest.raises(AlreadyExistsError, match="revoke it first"):
        tokens.add(path, "bot-1", Role.ADMIN)
    with pytest.raises(NotFoundError, match="token list"):
        tokens.revoke(path, "bot-2")


def test_two_commands_at_once_lose_nothing(path: Path) -> None:
    """Each waits for the other."""
    threads = [threading.Thread(target=tokens.add, args=(path, f"bot-{number}", Role.BOT)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {token.name for token in tokens.read(path)} == {f"bot-{number}" for number in range(16)}
