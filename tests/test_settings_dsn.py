"""A connection string that comes over the API is data: it touches no file and no other host."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from psycopg import pq

from settings import SettingsError, changed, load
from settings.dsn_rules import ALLOWED

KEYWORDS = [found.keyword.decode() for found in pq.Conninfo.get_defaults()]
VALUES = {"port": "5433", "sslmode": "require", "connect_timeout": "5", "keepalives": "1"} | {
    "options": "-c search_path=coins",
    "channel_binding": "prefer",
    "target_session_attrs": "any",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


def refusal(dsn: str) -> str:
    with pytest.raises(SettingsError) as caught:
        changed(load({}), {}, {"db_dsn": dsn})
    (sentence,) = caught.value.errors
    return sentence


def taken(dsn: str) -> bool:
    return changed(load({}), {}, {"db_dsn": dsn})[0].db_dsn is not None


def spellings(name: str, value: str) -> list[str]:
    """Write a parameter in every way that libpq reads."""
    every = "".join(f"%{ord(c):02X}" for c in name)
    return [
        f"postgresql://u@h/d?{name}={quote(value, safe='')}",
        f"postgresql://u@h/d?{every}={quote(value, safe='')}",
        f"postgresql://u@h/d?sslmode=require&{name}={quote(value, safe='')}",
        f"postgres://h?user=u&{name}={quote(value, safe='')}",
        f"host=h user=u {name}='{value}'",
        f"host = h {name} = '{value}' dbname = d",
        f"user=u host=h {name}='{value}' {name}='{value}'",
    ]


@pytest.mark.parametrize("name", sorted(set(KEYWORDS) - ALLOWED))
def test_parameter_that_is_not_known_to_be_harmless_is_refused_in_every_spelling(name: str) -> None:
    for dsn in spellings(name, "/tmp/hunter2-file"):
        sentence = refusal(dsn)
        assert sentence.startswith("DB_DSN "), sentence
        assert "hunter2" not in sentence
    assert f"holds {name}, but only" in refusal(f"host=h {name}='x'")


@pytest.mark.parametrize("name", sorted(set(ALLOWED) - {"host"}))
def test_parameter_that_is_harmless_is_taken(name: str) -> None:
    assert name in KEYWORDS
    for dsn in spellings(name, VALUES.get(name, "x")):
        assert taken(dsn), dsn


@pytest.mark.parametrize("name", ["SSLKEYLOGFILE", "HostAddr", "sslkeylogfile "])
def test_name_in_another_case_is_no_parameter(name: str) -> None:
    for dsn in (f"host=h {name}=/tmp/x", f"postgresql://u@h/d?{name}=/tmp/x"):
        assert refusal(dsn)


@pytest.mark.parametrize(
    "dsn",
    [
        "user=u dbname=d",
        "postgresql:///d",
        "postgresql://u@/d",
        "host=@abstract user=u",
        "host=good,@abstract user=u",
        "host=a,b,c,d,e user=u",
        "host=a,, user=u",
    ],
)
def test_host_is_one_to_four_names_of_machines(dsn: str) -> None:
    assert "names of machines" in refusal(dsn)


def test_several_hosts_and_sockets_are_taken() -> None:
    assert taken("host=/run/postgresql user=u")
    assert taken("postgresql://u@%2Frun%2Fpostgresql/d")
    assert taken("postgresql://u:p@db1:5432,db2:5432/d?target_session_attrs=read-write")


@pytest.mark.parametrize("timeout", ["0", "-1", "31", "1000000", "x", ""])
def test_attempt_has_an_end(timeout: str) -> None:
    assert "connect_timeout" in refusal(f"host=h connect_timeout='{timeout}'")


def test_environment_may_use_everything() -> None:
    dsn = "host=/run/postgresql sslrootcert=/etc/ssl/ca.pem passfile=/etc/mintwatch.pgpass"
    settings = load({"DB_DSN": dsn})
    assert settings.db_dsn is not None
    elsewhere, _ = changed(settings, {"DB_DSN": dsn}, {"db_dsn": "postgresql://u:p@h/d"})
    back, _ = changed(elsewhere, {"DB_DSN": dsn}, {"db_dsn": None})
    assert back.db_dsn == settings.db_dsn
