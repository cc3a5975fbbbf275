"""The way from no tables to those of the models, and back."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect

from app.database import migration
from app.database.base import Database
from app.database.migration import downgrade, head, is_behind, revision
from app.database.models import Base


def tables(connection: Connection) -> set[str]:
    """What there is."""
    return set(inspect(connection).get_table_names())


def differences(connection: Connection) -> list[object]:
    """What a new revision would have to do."""
    found = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(found, Base.metadata))


async def test_models_and_migrations_agree(database: Database) -> None:
    await database.upgrade()
    assert await database.run(differences) == []
    assert await database.run(tables) == {*Base.metadata.tables, "alembic_version"}


async def test_it_goes_up_and_back_down_and_up_again(database: Database) -> None:
    assert await database.run(revision) is None
    await database.upgrade()
    assert await database.run(revision) == head()
    await database.upgrade()
    await database.change(lambda connection: downgrade(connection, "base"))
    assert await database.run(tables) == {"alembic_version"}
    assert await database.run(revision) is None
    await database.upgrade()
    assert await database.run(differences) == []


async def test_everything_has_a_name_by_which_a_migration_finds_it(database: Database) -> None:
    """Also what the models do not name themselves."""

    def names(connection: Connection) -> list[tuple[str, str]]:
        found = inspect(connection)
        pairs = []
        for table in Base.metadata.tables:
            pairs.append((f"pk_{table}", str(found.get_pk_constraint(table)["name"])))
            for key in found.get_foreign_keys(table):
                columns = "_".join(key["constrained_columns"])
                pairs.append((f"fk_{table}_{columns}_{key['referred_table']}", str(key["name"])))
            for index in found.get_indexes(table):
                columns = "_".join(map(str, index["column_names"]))
                kind = "uq" if index["unique"] else "ix"
                pairs.append((f"{kind}_{table}_{columns}", str(index["name"])))
        return pairs

    await database.upgrade()
    found = await database.run(names)
    assert {name.partition("_")[0] for name, _ in found} == {"pk", "fk", "ix", "uq"}
    assert [expected for expected, _ in found] == [name for _, name in found]


def test_only_what_this_code_left_behind_has_to_be_brought_up_to_date(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """During a deploy the tables are ahead of the processes that are still to be replaced."""
    known = {"1": (), "2": ("1",), "3": ("1",), "4": ("2", "3")}
    monkeypatch.setattr(migration, "_known", lambda: known)
    assert head() == "4"
    assert [here for here in (None, "1", "2", "3", "4", "5") if is_behind(here)] == [
        None,
        "1",
        "2",
        "3",
    ]
