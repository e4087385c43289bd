"""Ways to write an address that must not be reached. The table is what an attacker would try, family by family."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

# What is worth reaching: this machine, its networks, metadata of clouds, and what is nobody's.
INSIDE_V4 = (
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.0.0.5",
    "100.64.1.1",
    "100.100.100.200",  # Alibaba
    "168.63.129.16",  # Azure
    "169.254.169.254",  # AWS, Google, Azure, DigitalOcean, OpenStack
    "169.254.170.2",  # AWS, credentials of containers
    "172.16.0.1",
    "172.31.255.254",
    "192.0.0.192",  # Oracle
    "192.168.1.1",
)
OTHER_V4 = (
    "0.255.255.255",
    "10.255.255.255",
    "100.127.255.255",
    "127.255.255.255",
    "169.254.0.1",
    "172.20.10.2",
    "192.0.0.1",
    "192.0.0.8",
    "192.0.0.9",
    "192.0.0.10",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "224.0.1.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
)
INSIDE_V6 = (
    "::",
    "::1",
    "0:0:0:0:0:0:0:1",
    "0000:0000:0000:0000:0000:0000:0000:0001",
    "::0:1",
    "0::1",
    "::0.0.0.1",
    "::2",
    "::ffff:0:0",
    "::ffff:0:7f00:1",  # IPv4-translated
    "0:0:0:0:ffff:0:127.0.0.1",
    "64:ff9b::1",
    "64:ff9b:1::1",
    "64:ff9b:1:fffe::127.0.0.1",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:1::1",
    "2001:2::1",
    "2001:3::1",
    "2001:4:112::1",
    "2001:10::1",
    "2001:20::1",
    "2001:30::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:5::1",
    "2002:a9fe:a9fe::a9fe:a9fe",
    "3fff::1",
    "3fff:fff::1",
    "4000::1",
    "5f00::1",
    "8000::1",
    "fc00::1",
    "fd00:ec2::254",  # AWS
    "fd20:ce::254",  # Google
    "fd00::2",
    "fdff:ffff:ffff::1",
    "fe80::1",
    "fe80::a9fe:a9fe",
    "febf::1",
    "fec0::1",
    "feff::1",
    "ff01::1",
    "ff02::1",
    "ff0e::1",
    "FE80::1",
    "1::1",
)

# Names whose only answers lie inside, and names that only mean something there.
INSIDE_NAMES = {
    "loopback.attacker.example": ("127.0.0.1",),
    "loopback6.attacker.example": ("::1",),
    "private.attacker.example": ("10.0.0.5",),
    "metadata.attacker.example": ("169.254.169.254",),
    "mapped.attacker.example": ("::ffff:127.0.0.1",),
    "nat64.attacker.example": ("64:ff9b::7f00:1",),
    "sixtofour.attacker.example": ("2002:7f00:1::",),
    "zero.attacker.example": ("0.0.0.0",),
    "first-good.attacker.example": ("93.184.215.14", "127.0.0.1"),
    "last-good.attacker.example": ("127.0.0.1", "93.184.215.14"),
    "hidden.attacker.example": ("93.184.215.14", "151.101.1.69", "fd00::1", "93.184.215.14"),
    "good-and-zero.attacker.example": ("93.184.215.14", "::"),
    "127.0.0.1.nip.example": ("127.0.0.1",),
    "0x7f000001.nip.example": ("127.0.0.1",),
    "127.0.0.1e0": ("127.0.0.1",),
    "localhost": ("127.0.0.1", "::1"),
    "LOCALHOST": ("127.0.0.1",),
    "foo.localhost": ("127.0.0.1",),
    "localhost.localdomain": ("127.0.0.1",),
    "ip6-localhost": ("::1",),
    "metadata": ("169.254.169.254",),
    "metadata.google.internal": ("169.254.169.254",),
    "instance-data": ("169.254.169.254",),
    "kubernetes.default.svc.cluster.local": ("10.0.0.1",),
    "redis": ("10.0.0.6",),
    "printer.local": ("192.168.1.9",),
    "vault.corp": ("10.0.0.7",),
    "router.lan": ("192.168.1.1",),
    "nas.home.arpa": ("192.168.1.2",),
    "wiki.intranet": ("10.0.0.8",),
    "db.private": ("10.0.0.9",),
    "1.0.0.127.in-addr.arpa": ("127.0.0.1",),
    "hidden.onion": ("127.0.0.1",),
    "my_service.test": ("127.0.0.1",),
}

# Hosts that parsers read differently, or that some of them mend into an address inside.
STRANGE_AUTHORITIES = (
    "127.0.0.1.",
    "127.0.0.1..",
    ".127.0.0.1",
    "127..0.0.1",
    "127.0.0.1:80:80",
    "127.0.0.1:",
    "127.0.0.1:+80",
    "127.0.0.1:-80",
    "127.0.0.1:080",
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "127.0.0.1:99999999999",
    "127.0.0.1:80aaa",
    "127.0.0.1:8 0",
    "127.0.0.1:%38%30",
    "127.0.0.1:\u0668\u0660",
    "%31%32%37.0.0.1",
    "127.0.0.1%00.cdn.example",
    "127.0.0.1%2f.cdn.example",
    "127.0.0.1%23.cdn.example",
    "127.0.0.1%252f.cdn.example",
    "127%2e0%2e0%2e1",
    "localhost%00",
    "l%6fcalhost",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
    "127\uff0e0\uff0e0\uff0e1",
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
    "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3",
    "loc\u00adalhost",
    "localhos\u200bt",
    "\u0661\u0662\u0667.\u0660.\u0660.\u0661",
    "0o177.0.0.1",
    "0b1111111.0.0.1",
    "0x7g.0.0.1",
    "1e100.0.0.1",
    "256.0.0.1",
    "127.0.0.256",
    "4294967296",
    "18446744073709551617",
    "340282366920938463463374607431768211455",
    "0x",
    "0x.0x.0x.0x",
    "00000000000000000000000000000000177.0.0.1",
    "127.0.0.1.0",
    "127.0.0.1.1",
    "1.127.0.0.1",
    "a.127.0.0.1",
    "cdn.example.1",
    "cdn.example.0x7f",
    "cdn.example.",
    "-127.0.0.1",
    "127.0.0.-1",
    "[127.0.0.1]",
    "[localhost]",
    "[::1",
    "::1",
    "::1]",
    "[[::1]]",
    "[::1]]",
    "[::1]x",
    "[::1].cdn.example",
    "[::1%25lo]",
    "[::1%lo]",
    "[::1%251]",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "[v1.::1]",
    "[v6.::1]",
    "[:::1]",
    "[::1::]",
    "[0:0:0:0:0:0:0:0:1]",
    "[::00001]",
    "[::g]",
    "[::127.0.0.1.]",
    "[::0x7f.0.0.1]",
    "[::0177.0.0.1]",
    "[::127.1]",
    "[]",
    "[ ::1]",
    "[::1 ]",
    "[\u200b::1]",
    "",
    ":80",
    ".",
    "..",
    "-",
    "a..b.example",
    "-a.example",
    "a-.example",
    "*.example",
    "a,b.example",
    "a;b.example",
    "a'b.example",
    'a"b.example',
    "a<b.example",
    "a|b.example",
    "a^b.example",
    "a`b.example",
    "{host}.example",
    "$host.example",
    "a!b.example",
    "a~b.example",
    "a&b.example",
    "a+b.example",
    "a=b.example",
    "(a).example",
    f"{'a' * 64}.example",
    f"{'a.' * 127}example",
    "xn--.example",
    "xn--a-.example",
    "xn--localhost-.example",
    "xn--99999999999.example",
)

# The whole address, where what confuses stands before or after the host.
STRANGE_URLS = (
    "",
    " ",
    "/",
    "//",
    "//127.0.0.1/",
    "///127.0.0.1/",
    "127.0.0.1",
    "127.0.0.1/",
    "127.0.0.1:80/",
    "localhost/",
    "http:",
    "http:/",
    "http://",
    "http:///",
    "http:///127.0.0.1/",
    "http:////127.0.0.1/",
    "http:127.0.0.1/",
    "http:/127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http:/\\127.0.0.1/",
    "http:\\/127.0.0.1/",
    "\\\\127.0.0.1\\share",
    "http//127.0.0.1/",
    "http;//127.0.0.1/",
    "http::80//127.0.0.1/",
    "://127.0.0.1/",
    "?http://127.0.0.1/",
    "#http://127.0.0.1/",
    " http://127.0.0.1/",
    "http://127.0.0.1/ ",
    "http ://127.0.0.1/",
    "http: //127.0.0.1/",
    "http:// 127.0.0.1/",
    "http://127.0.0.1 /",
    "http://127.0.0.1\t/",
    "ht\ttp://127.0.0.1/",
    "http://127.0.\t0.1/",
    "http://127.0.0.1/a b",
    "http://127.0.0.1/\x7f",
    "http://127.0.0.1/\x01",
    "\x00http://127.0.0.1/",
    "\x1bhttp://127.0.0.1/",
    "\ufeffhttp://127.0.0.1/",
    "\u00a0http://127.0.0.1/",
    "http\uff1a//127.0.0.1/",
    "http:\u2215\u2215127.0.0.1/",
    "http://127.0.0.1/\u0131mage.png",
    "http://127.0.0.1/image.png\u2028",
    "http://user@127.0.0.1/",
    "http://user:password@127.0.0.1/",
    "http://:@127.0.0.1/",
    "http://@127.0.0.1/",
    "http://cdn.example@127.0.0.1/",
    "http://cdn.example:80@127.0.0.1/",
    "http://cdn.example%2f@127.0.0.1/",
    "http://cdn.example%23@127.0.0.1/",
    "http://127.0.0.1@cdn.example/",
    "http://127.0.0.1%40cdn.example/",
    "http://cdn.example\\@127.0.0.1/",
    "http://127.0.0.1\\@cdn.example/",
    "http://127.0.0.1:80\\@cdn.example:80/",
    "http://127.0.0.1:80\\@@cdn.example:80/",
    "http://127.0.0.1:80:\\@@cdn.example:80/",
    "http://127.0.0.1:80#\\@cdn.example:80/",
    "http://cdn.example\\.127.0.0.1/",
    "http://cdn.example\\127.0.0.1/",
    "http://cdn.example&@127.0.0.1#@private.attacker.example/",
    "http://cdn.example @127.0.0.1/",
    "http://cdn.example;127.0.0.1/",
    "http://cdn.example,127.0.0.1/",
    "http://cdn.example|127.0.0.1/",
    "http://a@b@127.0.0.1/",
    "http://cdn.example:foo@127.0.0.1:80/",
    "http://[cdn.example]@127.0.0.1/",
    "http://127.0.0.1[cdn.example]/",
    "http://foo[::1]/",
    "http://[::1]foo/",
    "http://[::1]@cdn.example/",
    "0://cdn.example:80;http://127.0.0.1:80/",
    "url:http://127.0.0.1/",
    "<http://127.0.0.1/>",
    '"http://127.0.0.1/"',
    "http://127.0.0.1",
    "http://127.0.0.1?",
    "http://127.0.0.1#",
    "http://127.0.0.1?@cdn.example/",
    "http://127.0.0.1#@cdn.example/",
    "http://127.0.0.1/@cdn.example",
    "http://127.0.0.1/../../",
    "HTTP://127.0.0.1/",
    "hTTps://127.0.0.1/",
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "http://169.254.169.254/computeMetadata/v1/",
    "http://169.254.169.254/metadata/instance?api-version=2021-02-01",
    "http://192.0.0.192/opc/v2/instance/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    f"http://127.0.0.1/{'a' * 10_000}",
    f"http://cdn.example/{'a' * 10_000}",
)
OTHER_SCHEMES = (
    *("file", "ftp", "sftp", "tftp", "gopher", "dict", "ldap", "ldaps", "jar", "netdoc", "data", "blob", "about"),
    *("javascript", "vbscript", "mailto", "ws", "wss", "ssh", "telnet", "smb", "redis", "mysql", "postgresql", "unix"),
    *("http+unix", "httpunix", "httpx", "httpss", "http0", "shttp", "view-source", "feed", "git", "svn", "php", "s3"),
)
ODD_PORTS = (
    *(1, 21, 22, 23, 25, 53, 81, 110, 111, 135, 139, 143, 389, 444, 445, 465, 587, 631, 873, 1080, 2049, 2375),
    *(2379, 3000, 3128, 3306, 3389, 5000, 5432, 5601, 5672, 5900, 5984, 6379, 6443, 7001, 8000, 8080, 8081, 8443),
    *(8500, 8888, 9000, 9042, 9090, 9092, 9200, 10250, 10255, 11211, 15672, 27017, 50070, 65535),
)


def spellings(v4: str) -> Iterator[str]:
    """Ways to write an IPv4 address that some resolver or library takes for it."""
    number = int(IPv4Address(v4))
    a, b, c, d = (int(part) for part in v4.split("."))
    low, lower = number & 0xFFFFFF, number & 0xFFFF
    yield v4
    yield str(number)
    yield hex(number)
    yield f"0{number:o}"
    yield f"0X{number:08X}"
    yield f"{a:#x}.{b:#x}.{c:#x}.{d:#x}"
    yield f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield f"{a:03}.{b:03}.{c:03}.{d:03}"
    yield f"{a}.{low}"
    yield f"{a}.{b}.{lower}"
    yield f"{a:#x}.{low}"
    yield f"0{a:o}.{b}.{lower:#x}"
    yield f"{a}.{b}.{c}.{d:#x}"
    yield f"{v4}."
    yield str(number + (1 << 32))
    yield f"[::{v4}]"
    yield f"[::ffff:{v4}]"
    yield f"[0:0:0:0:0:FFFF:{number >> 16:X}:{lower:X}]"
    yield f"[::ffff:0:{v4}]"
    yield f"[64:ff9b::{v4}]"
    yield f"[64:ff9b:1::{v4}]"
    yield f"[2002:{number >> 16:x}:{lower:x}::]"
    yield f"[2001:0:{number >> 16:x}:{lower:x}::1]"
    yield f"[2001::{~number >> 16 & 0xFFFF:x}:{~number & 0xFFFF:x}]"
    yield f"[{IPv6Address(number << 80).compressed}]"


def _all() -> Iterator[str]:
    for v4 in INSIDE_V4:
        for scheme in ("http", "https"):
            yield from (f"{scheme}://{host}/" for host in spellings(v4))
    yield from (f"https://{v4}/" for v4 in OTHER_V4)
    yield from (f"https://[::ffff:{v4}]/" for v4 in OTHER_V4)
    yield from (f"https://[{v6}]/" for v6 in INSIDE_V6)
    for scheme in ("http", "https"):
        yield from (f"{scheme}://{name}/image.png" for name in INSIDE_NAMES)
        yield from (f"{scheme}://{authority}/" for authority in STRANGE_AUTHORITIES)
    yield from STRANGE_URLS
    yield from (f"{scheme}://127.0.0.1/" for scheme in OTHER_SCHEMES)
    yield from (f"{scheme}://cdn.example/" for scheme in OTHER_SCHEMES)
    yield from (f"{scheme}:127.0.0.1" for scheme in OTHER_SCHEMES)
    for host in ("127.0.0.1", "cdn.example", "[::1]", "10.0.0.5"):
        yield from (f"https://{host}:{port}/" for port in ODD_PORTS)
    yield from ("http://cdn.example:443/", "https://cdn.example:80/", "http://127.0.0.1:443/", "https://127.0.0.1:80/")


FORMS = tuple(dict.fromkeys(_all()))
