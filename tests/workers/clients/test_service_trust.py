"""What outside services are trusted with: their key goes to them alone, and who they are is proven."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.outside.calling import client_of
from tests.outside.scripted import Scripted, broken_off, reach
from tests.outside.server import KEY, Answer, as_json, plain, running
from workers.clients.looking import look
from workers.clients.service import NoAnswer, Refused, ServiceError
from workers.clients.types import types

ROOT = Path(__file__).parents[3]
QUERY_KEY = {"auth": {"query": "apikey"}}

# --- The key is told to nobody ---------------------------------------------------------------------------------------

ODD_KEY = 'Aa+/= "%k\\y&Ü7890123456789'


def _spelled(key: str) -> list[str]:
    return [key, key.lower(), quote(key), quote(key, safe=""), quote_plus(key), json.dumps(key)[1:-1]]


@pytest.mark.parametrize("config", [{}, QUERY_KEY], ids=["header", "query"])
@pytest.mark.parametrize("spelled", _spelled(KEY)[:1] + _spelled(KEY.upper())[:2])
def test_a_server_that_repeats_the_key_does_not_have_us_tell_it(
    site: Scripted, config: dict[str, Any], spelled: str
) -> None:
    site.says("/", as_json({"message": f"Who is {spelled}, in {spelled}?"}, 401))
    with pytest.raises(Refused, match=r"Who is \*\*\*, in \*\*\*\?") as caught:
        reach(site, config=config).get("/")
    assert KEY not in caught.value.message.lower()


@pytest.mark.parametrize("spelled", _spelled(ODD_KEY))
def test_nor_in_another_spelling(site: Scripted, spelled: str) -> None:
    site.says("/", lambda asked: as_json({"message": f"No route: /?apikey={spelled}|{asked.raw_query}"}, 404))
    with pytest.raises(Refused) as caught:
        reach(site, key=ODD_KEY, config=QUERY_KEY).get("/")
    assert caught.value.message == "mine answered 404: No route: /?apikey=***|apikey=***"


def test_nor_a_part_of_it_where_a_long_message_is_cut(site: Scripted) -> None:
    site.says("/", as_json({"message": "x" * 290 + KEY}, 400))
    with pytest.raises(Refused) as caught:
        reach(site).get("/")
    assert KEY[:4] not in caught.value.message


def test_nor_where_it_leads_to(site: Scripted) -> None:
    site.says("/", plain(b"", 302, Location=f"http://{KEY}.example/{KEY}?{KEY}"))
    with pytest.raises(Refused, match=r"leads to \*\*\*\.example") as caught:
        reach(site).get("/")
    assert KEY not in caught.value.message


@pytest.mark.parametrize("config", [{}, QUERY_KEY], ids=["header", "query"])
def test_nor_when_nobody_answers(site: Scripted, config: dict[str, Any]) -> None:
    site.says("/broken", broken_off())
    site.says("/late", lambda asked: (time.sleep(1), as_json({}))[1])
    client = reach(site, config=config, seconds=0.3)
    site.says("/long", plain(b"x" * (9 << 20)))
    for path in ("broken", "late", "long"):
        with pytest.raises(ServiceError) as caught:
            client.get(path)
        assert KEY not in caught.value.message
    site.close()
    with pytest.raises(NoAnswer) as caught_away:
        client.get("/")
    assert KEY not in caught_away.value.message


@pytest.mark.parametrize("key", ["line\nbreak-0123456789", "schlüssel-0123456789", "tab\t-0123456789"])
def test_a_key_that_no_header_may_hold_is_said_to_be_such_and_sent_to_nobody(site: Scripted, key: str) -> None:
    with pytest.raises(Refused, match="key of mine holds characters") as caught:
        reach(site, key=key).get("/")
    assert key not in caught.value.message
    assert site.asked == []


ASKING = """
import logging, sys
from config import logs
from tests.outside.calling import client_of
logs.configure("DEBUG")
logging.getLogger("test").debug("It begins.")
print(client_of("generic_http", sys.argv[1], key=sys.argv[2], config={"auth": {"query": "k"}}).get("/"))
"""


def test_no_line_that_is_logged_holds_the_key_however_much_is_logged(site: Scripted) -> None:
    site.says("/", as_json([1]))
    argv = [sys.executable, "-c", ASKING, site.url, KEY]
    ran = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ran.stdout, site.asked[0].query) == ("[1]\n", {"k": KEY})
    assert "It begins." in ran.stderr
    assert KEY not in ran.stderr


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Scripted]:
    """A site whose certificate nobody but itself vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "at home")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "both.pem"
    plain_key = serialization.NoEncryption()
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain_key)
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with running(Scripted(tls=context)) as site:
        yield site


def test_a_certificate_that_nobody_vouches_for_is_not_taken(secure: Scripted) -> None:
    secure.says("/", as_json([1]))
    with pytest.raises(NoAnswer, match="its certificate was not accepted") as caught:
        reach(secure).get("/")
    assert caught.value.code == "upstream_unavailable"
    assert secure.asked == []


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_it_is_taken_where_an_administrator_says_so(secure: Scripted) -> None:
    secure.says("/", as_json([1]))
    assert reach(secure, config={"verify_tls": False}).get("/") == [1]
    assert secure.asked[0].headers["x-api-key"] == KEY


def test_who_does_not_speak_tls_at_all_is_told_of(site: Scripted) -> None:
    with pytest.raises(NoAnswer, match="does not speak TLS"):
        client_of("generic_http", site.url.replace("http:", "https:")).get("/")


# --- What answers may be somebody else -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plex", "radarr", "sonarr", "overseerr", "tautulli", "ollama", "label_studio"])
@pytest.mark.parametrize(
    "answer", [plain(b"<html>Welcome to your router</html>"), as_json([]), as_json({}), as_json(7), plain(b"")]
)
def test_a_page_of_somebody_else_is_no_service_that_is_well(site: Scripted, name: str, answer: Answer) -> None:
    for path in ("library/sections", "api/v3/system/status", "api/v1/auth/me", "api/v2", "api/tags", "api/projects/"):
        site.says(f"/{path}", answer)
    found = look(types()[name], client_of(name, site.url))
    assert (found.healthy, found.problem) == (False, f"mine answers what no {types()[name].title} does.")
