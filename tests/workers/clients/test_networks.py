"""Where outside services may be, and that no spelling of a forbidden place and no change of mind leads there."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.outside.calling import client_of
from tests.outside.server import Answer, Asked, Outside, as_json, running
from workers.clients.networks import Forbidden, Networks
from workers.clients.service import NoAnswer, Refused
from workers.errors import BadInput

METADATA = "169.254.169.254"
HOME = Networks()
EVERYWHERE = Networks((ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")))


def listed(*networks: str) -> Networks:
    return Networks(tuple(map(ipaddress.ip_network, networks)))


class Names:
    """What names lead to, in place of a resolver: a list each time it is asked, the last one for ever."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self._real = real
        self.known: dict[str, list[Sequence[str]]] = {}
        self.looked_up: list[str] = []

    def lead(self, name: str, *answers: Sequence[str]) -> None:
        self.known[name] = list(answers)

    def __call__(self, host: Any, port: Any, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in self.known or options.get("flags", 0) & socket.AI_NUMERICHOST:
            return self._real(host, port, *args, **options)
        self.looked_up.append(name)
        answers = self.known[name]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [entry for each in found for entry in self._real(each, port, *args, **options)]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names(socket.getaddrinfo)
    monkeypatch.setattr(socket, "getaddrinfo", made)
    return made


# --- The metadata service, however it is spelled ---------------------------------------------------------------------

SPELLED = [
    METADATA,
    "2852039166",
    "0xA9FEA9FE",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "025177524776",
    "169.254.43518",
    "169.16689662",
    "169.0xfe.0251.254",
    # IPv6 that leads to it: mapped, compatible, translated (NAT64, SIIT), 6to4, Teredo.
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:FFFF:A9FE:A9FE]",
    "[::169.254.169.254]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[::ffff:0:a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:4136:e378:8000:63bf:5601:5601]",
    # Others of its kind.
    "169.254.170.2",
    "[fe80::a9fe:a9fe]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "100.100.100.200",
    "[::ffff:100.100.100.200]",
    "192.0.0.192",
    "168.63.129.16",
    "0xA83F8110",
]
NAMED = [
    *("metadata.google.internal", "METADATA.Google.Internal", "metadata.google.internal.", "metadata"),
    *("169.254.169.254.", "instance-data", "instance-data.ec2.internal", "metadata.tencentyun.com"),
]


@pytest.mark.parametrize("networks", [HOME, EVERYWHERE, listed("169.254.0.0/16")], ids=["home", "all", "asked for"])
@pytest.mark.parametrize("host", SPELLED + NAMED)
def test_the_metadata_service_is_refused_in_every_spelling_and_wherever_one_may_go(
    networks: Networks, host: str
) -> None:
    for url in (f"http://{host}/", f"https://{host}:8080/latest"):
        with pytest.raises(BadInput) as caught:
            networks.check(url)
        assert caught.value.code == "forbidden_address"


@pytest.mark.parametrize("host", SPELLED)
def test_nobody_connects_to_it_in_any_spelling(host: str) -> None:
    with pytest.raises(Forbidden):
        EVERYWHERE.choose(host.strip("[]"), 80)
    with pytest.raises(Refused, match="where nobody is sent"):
        client_of("generic_http", f"http://{host}", networks=EVERYWHERE).get("/latest/meta-data/")


@pytest.mark.parametrize(
    "found", [[METADATA], ["::ffff:169.254.169.254"], ["64:ff9b::a9fe:a9fe"], ["2002:a9fe:a9fe::"]]
)
def test_a_name_that_leads_there_is_refused(names: Names, found: list[str]) -> None:
    names.lead("innocent.example", found)
    for networks in (HOME, EVERYWHERE):
        with pytest.raises(BadInput, match=r"innocent\.example is a cloud's metadata service"):
            networks.check("http://innocent.example/")
        with pytest.raises(Refused, match="where nobody is sent"):
            client_of("generic_http", "http://innocent.example", networks=networks).get("/")


def test_a_name_that_leads_there_among_other_places_is_refused(names: Names) -> None:
    names.lead("innocent.example", ["127.0.0.1", METADATA])
    with pytest.raises(BadInput, match="metadata service"):
        HOME.check("http://innocent.example/")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1\\@169.254.169.254/",
        "http://127.0.0.1@169.254.169.254/",
        "http://user:secret@127.0.0.1/",
        "http://127.0.0.1#@169.254.169.254/",
        "http://127.0.0.1:80:@169.254.169.254/",
        "http://169%2e254%2e169%2e254/",
        "http://%31%36%39.254.169.254/",
        "http://[::ffff:169.254.169.254",
        # As people write it who know that it is looked for.
        "http://１６９.２５４.１６９.２５４/",
        "http://①⑥⑨.②⑤④.①⑥⑨.②⑤④/",
        "http://169。254。169。254/",
        "http://metadata。google。internal/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:99999/",
        "http:///x",
        "http://",
        "//127.0.0.1/",
        "127.0.0.1:8080",
        "",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://127.0.0.1/",
        "javascript:alert(1)",
        "http://127.0.0.1/?next=1",
        "http://127.0.0.1/" + "x" * 2000,
        "http://127.0.0.1\r\nHost: x/",
        "http://x y/",
    ],
)
def test_what_is_no_plain_url_of_a_service_is_refused_and_named(url: str) -> None:
    with pytest.raises(BadInput, match=r"^url: ") as caught:
        EVERYWHERE.check(url)
    assert caught.value.code in ("bad_url", "forbidden_address")
    assert "secret" not in caught.value.message
    assert len(caught.value.message) < 250


# --- Where one may go ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "[::1]",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.254",
        "192.168.1.1",
        "100.64.0.1",
        "[fd12::1]",
    ],
)
def test_at_home_one_goes_to_private_networks(host: str) -> None:
    HOME.check(f"http://{host}:8989/sonarr")


@pytest.mark.parametrize(
    "host",
    [
        *("8.8.8.8", "134744072", "172.32.0.1", "[2001:4860:4860::8888]", "[::ffff:8.8.8.8]", "[64:ff9b::808:808]"),
        *("0.0.0.0", "0", "[::]", "224.0.0.1", "[ff02::1]", "255.255.255.255", "240.0.0.1", "192.0.2.1"),
    ],
)
def test_to_nothing_else_by_an_address(host: str) -> None:
    with pytest.raises(BadInput, match=r"is in none of SERVICE_NETWORKS\.$"):
        HOME.check(f"http://{host}/")
    with pytest.raises(Forbidden):
        HOME.choose(host.strip("[]"), 80)


def test_to_public_places_by_a_name(names: Names) -> None:
    names.lead("service.example", ["8.8.8.8"])
    names.lead("translated.example", ["64:ff9b::808:808"])
    for host in ("service.example", "translated.example"):
        HOME.check(f"https://{host}/api")
    assert HOME.choose("service.example", 443) == "8.8.8.8"


@pytest.mark.parametrize("found", ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "240.0.0.1", "192.0.2.1", "198.18.0.1"])
def test_by_a_name_neither_to_what_is_nowhere(names: Names, found: str) -> None:
    names.lead("odd.example", [found])
    with pytest.raises(BadInput, match="SERVICE_NETWORKS"):
        HOME.check("http://odd.example/")
    with pytest.raises(Forbidden):
        HOME.choose("odd.example", 80)


def test_a_list_of_networks_allows_those_and_no_others(names: Names) -> None:
    networks = listed("192.168.1.0/24", "2001:db8::/32")
    names.lead("inside.example", ["192.168.1.7"])
    names.lead("both.example", ["10.0.0.1", "192.168.1.8"])
    names.lead("outside.example", ["10.0.0.1", "8.8.8.8"])
    for host in ("192.168.1.7", "[2001:db8::1]", "[::ffff:192.168.1.7]", "inside.example", "both.example"):
        networks.check(f"http://{host}/")
    assert networks.choose("both.example", 80) == "192.168.1.8"
    for host in ("127.0.0.1", "192.168.2.1", "[::ffff:192.168.2.1]", "[fd12::1]", "outside.example"):
        with pytest.raises(BadInput, match="SERVICE_NETWORKS"):
            networks.check(f"http://{host}/")


def test_a_name_that_nobody_has_yet_may_be_somebodys_later(names: Names) -> None:
    names.lead("later.example", [])
    HOME.check("http://later.example/")
    with pytest.raises(NoAnswer, match="nobody has the name"):
        client_of("generic_http", "http://later.example").get("/")


# --- A name that changes its mind ------------------------------------------------------------------------------------


class Here(Outside):
    """A service of this machine."""

    def answer(self, asked: Asked) -> Answer:
        return as_json({"host": asked.headers["host"]})


@pytest.fixture
def here() -> Iterator[Here]:
    with running(Here()) as service:
        yield service


def test_a_name_that_leads_elsewhere_after_it_was_checked_leads_nowhere(here: Here, names: Names) -> None:
    names.lead("rebinding.example", ["127.0.0.1"], [METADATA])
    url = f"http://rebinding.example:{here.port}"
    HOME.check(url)
    with pytest.raises(Refused, match="where nobody is sent"):
        client_of("generic_http", url).get("/")
    assert here.asked == []


def test_the_address_that_was_judged_is_the_one_connected_to(here: Here, names: Names) -> None:
    # A resolver that says something good to whoever judges, and something else to whoever connects.
    names.lead("rebinding.example", ["127.0.0.1"], [METADATA])
    answer = client_of("generic_http", f"http://rebinding.example:{here.port}").get("/")
    assert answer == {"host": f"rebinding.example:{here.port}"}
    assert names.looked_up == ["rebinding.example"]


def test_of_several_addresses_the_one_that_may_be_asked_is(here: Here, names: Names) -> None:
    names.lead("several.example", ["169.254.1.1", "224.0.0.1", "127.0.0.1"])
    assert client_of("generic_http", f"http://several.example:{here.port}").get("/")
    with pytest.raises(Refused, match="where nobody is sent"):
        client_of("generic_http", f"http://several.example:{here.port}", networks=listed("10.0.0.0/8")).get("/")
    assert len(here.asked) == 1


def test_this_machine_is_reached_by_each_of_its_names(here: Here) -> None:
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1"):
        assert client_of("generic_http", f"http://{host}:{here.port}").get("/") == {"host": f"{host}:{here.port}"}


def test_a_proxy_of_the_surroundings_is_not_asked(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(Here()) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert client_of("generic_http", here.url).get("/")
        assert (len(here.asked), proxy.asked) == (1, [])
