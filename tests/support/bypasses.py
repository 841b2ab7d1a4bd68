"""Ways by which a stranger's address may try to reach what it must not; one row each."""

from __future__ import annotations

from dataclasses import dataclass

from faceproof.errors import AddressRefusedError, FaceproofError

LONG = "a" * 64


@dataclass(frozen=True)
class Try:
    """An address, where PORT is the listener's, and why somebody would write it."""

    name: str
    address: str
    why: str
    answers: tuple[str, ...] = ()
    error: type[FaceproofError] = AddressRefusedError


def _spelt(*hosts: tuple[str, str, str]) -> list[Try]:
    return [Try(name, f"http://{host}:PORT/a.jpg", why) for name, host, why in hosts]


IPV4 = _spelt(
    ("loopback", "127.0.0.1", "the plain form"),
    ("loopback-elsewhere", "127.1.2.3", "all of 127/8 is this machine"),
    ("decimal", "2130706433", "inet_aton reads one number"),
    ("decimal-overflow", "6425673729", "some readers take it modulo 2**32"),
    ("hex", "0x7f000001", "inet_aton reads hexadecimal"),
    ("hex-upper", "0X7F000001", "in capitals too"),
    ("hex-empty", "0x", "the URL standard reads 0"),
    ("octal", "017700000001", "inet_aton reads a leading zero as octal"),
    ("dotted-octal", "0177.0.0.1", "in a part too"),
    ("dotted-hex", "0x7f.0x0.0x0.0x1", "in all parts"),
    ("mixed", "0x7f.0.0.01", "in each part another"),
    ("last-part-hex", "127.0.0.0x1", "only the last part is looked at by the URL standard"),
    ("short-two", "127.1", "missing parts are filled with zeros"),
    ("short-three", "127.0.1", "missing parts are filled with zeros"),
    ("zero", "0", "0 is this machine on Linux"),
    ("zero-dotted", "0.0.0.0", "0.0.0.0 is this machine on Linux"),
    ("padded", "127.000.000.001", "padding or octal"),
    ("part-overflow", "383.0.0.1", "some readers take a part modulo 256"),
    ("five-parts", "127.0.0.1.1", "no address to one reader, a name to another"),
    ("signed", "-2130706433", "some readers take signs"),
    ("trailing-dot", "127.0.0.1.", "the root's dot hides it from a comparison of texts"),
    ("two-trailing-dots", "127.0.0.1..", "and another"),
    ("leading-dot", ".127.0.0.1", "an empty label"),
    ("double-dot", "127..0.1", "an empty label inside"),
    ("decimal-trailing-dot", "2130706433.", "both"),
    ("private-10", "10.0.0.1", "RFC 1918"),
    ("private-172-first", "172.16.0.1", "RFC 1918"),
    ("private-172-last", "172.31.255.255", "RFC 1918, the end of its range"),
    ("private-192", "192.168.0.1", "RFC 1918"),
    ("metadata", "169.254.169.254", "a cloud's metadata"),
    ("metadata-decimal", "2852039166", "the same, as a number"),
    ("metadata-hex", "0xa9fea9fe", "the same"),
    ("metadata-octal", "0251.0376.0251.0376", "the same"),
    ("metadata-carrier", "100.100.100.200", "a cloud's metadata in the range of RFC 6598"),
    ("metadata-192", "192.0.0.192", "a cloud's metadata in the range of RFC 6890"),
    ("platform", "168.63.129.16", "looks public, is a cloud's own service"),
    ("benchmarking", "198.18.0.1", "RFC 2544"),
    ("documentation", "192.0.2.1", "RFC 5737"),
    ("6to4-relay", "192.88.99.1", "RFC 7526"),
    ("multicast", "224.0.0.1", "RFC 5771"),
    ("reserved", "240.0.0.1", "RFC 1112"),
    ("broadcast", "255.255.255.255", "everyone on the link"),
)

UNICODE = _spelt(
    ("full-width-digits", "\uff11\uff12\uff17.0.0.1", "NFKC makes them plain digits"),
    ("full-width-dots", "127\uff0e0\uff0e0\uff0e1", "UTS 46 makes them dots"),
    ("ideographic-stops", "127\u30020\u30020\u30021", "UTS 46 makes them dots"),
    ("half-width-stops", "127\uff610\uff610\uff611", "UTS 46 makes them dots"),
    ("ideographic-in-name", "pictures\u3002example", "the same in a name"),
    ("full-width-dot-in-name", "pictures\uff0eexample", "UTS 46 makes it a dot"),
    ("half-width-stop-in-name", "pictures\uff61example", "UTS 46 makes it a dot"),
    ("circled-digits", "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460", "NFKC makes them plain"),
    ("superscripts", "\xb9\xb2\u2077.0.0.1", "NFKC makes them plain"),
    ("arabic-digits", "\u0661\u0662\u0667.\u0660.\u0660.\u0661", "int() of Python reads them"),
    ("mathematical-digits", "\U0001d7cf\U0001d7d0\U0001d7d5.0.0.1", "NFKC makes them plain"),
    ("circled-letters", "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3", "localhost"),
    ("long-s", "localho\u017ft", "localhost after NFKC"),
    ("kelvin", "\u212aernel.example", "a K after lower-casing"),
    ("soft-hyphen", "local\xadhost", "dropped by UTS 46"),
    ("zero-width-space", "local\u200bhost", "dropped by some"),
    ("right-to-left", "\u202etsohlacol", "shown as localhost"),
    ("full-width-slash", "127.0.0.1\uff0fpictures.example", "a slash after NFKC"),
    ("full-width-at", "pictures.example\uff20127.0.0.1", "an at sign after NFKC"),
    ("account-of", "pictures.example\u2100.127.0.0.1", "a/c after NFKC, so that the host ends"),
    ("fraction", "\u2100.example", "the same at the start"),
    ("emoji", "\U0001f4a9.example", "no letter of IDNA 2008"),
)

IPV6 = _spelt(
    ("v6-loopback", "[::1]", "the plain form"),
    ("v6-loopback-long", "[0:0:0:0:0:0:0:1]", "written out"),
    ("v6-unspecified", "[::]", "this machine on Linux"),
    ("v6-mapped", "[::ffff:127.0.0.1]", "IPv4 inside"),
    ("v6-mapped-hex", "[::ffff:7f00:1]", "the same in hexadecimal"),
    ("v6-mapped-private", "[::ffff:10.0.0.1]", "IPv4 inside"),
    ("v6-mapped-public", "[::ffff:93.184.216.34]", "nobody serves pictures there"),
    ("v6-compatible", "[::127.0.0.1]", "IPv4 inside, RFC 4291"),
    ("v6-translated", "[::ffff:0:127.0.0.1]", "IPv4 inside, RFC 2765"),
    ("v6-nat64", "[64:ff9b::127.0.0.1]", "a translator sends it on"),
    ("v6-nat64-metadata", "[64:ff9b::a9fe:a9fe]", "a translator sends it on"),
    ("v6-nat64-local", "[64:ff9b:1::7f00:1]", "the same within a network, RFC 8215"),
    ("v6-6to4", "[2002:7f00:1::]", "IPv4 inside, RFC 3056"),
    ("v6-6to4-metadata", "[2002:a9fe:a9fe::1]", "IPv4 inside"),
    ("v6-teredo", "[2001:0:4136:e378:8000:63bf:80ff:fffe]", "IPv4 inside, each bit inverted"),
    ("v6-isatap", "[2001:470:1:2:0:5efe:7f00:1]", "IPv4 inside, RFC 5214"),
    ("v6-isatap-global", "[2001:470:1:2:200:5efe:10.0.0.1]", "IPv4 inside, RFC 5214"),
    ("v6-link-local", "[fe80::1]", "this link"),
    ("v6-zone", "[fe80::1%25eth0]", "a zone, as RFC 6874 has it"),
    ("v6-zone-plain", "[fe80::1%eth0]", "a zone, as commands have it"),
    ("v6-loopback-zone", "[::1%25lo]", "a zone hides it from a comparison of texts"),
    ("v6-unique-local", "[fc00::1]", "RFC 4193"),
    ("v6-metadata", "[fd00:ec2::254]", "a cloud's metadata"),
    ("v6-site-local", "[fec0::1]", "RFC 3879"),
    ("v6-multicast", "[ff02::1]", "everyone on the link"),
    ("v6-documentation", "[2001:db8::1]", "RFC 3849"),
    ("v6-documentation-new", "[3fff::1]", "RFC 9637"),
    ("v6-discard", "[100::1]", "RFC 6666"),
    ("v6-segment-routing", "[5f00::1]", "RFC 9602"),
    ("v6-no-brackets", "::1", "a port to one reader, an address to another"),
    ("v6-unclosed", "[::1", "no end"),
    ("v6-unopened", "::1]", "no beginning"),
    ("v6-with-tail", "[::1]pictures.example", "cut at the bracket by some"),
    ("v6-with-head", "pictures.example[::1]", "cut at the bracket by some"),
    ("v6-future", "[v1.::1]", "RFC 3986 allows it, nobody has it"),
    ("v6-nine-groups", "[0:0:0:0:0:0:0:0:1]", "no address"),
    ("v4-in-brackets", "[127.0.0.1]", "no IPv6"),
    ("v6-empty", "[]", "nothing"),
)

NAMES = _spelt(
    ("localhost", "localhost", "RFC 6761"),
    ("localhost-upper", "LOCALHOST", "names have no case"),
    ("localhost-dot", "localhost.", "the root's dot"),
    ("localhost-sub", "a.localhost", "RFC 6761"),
    ("localhost-domain", "localhost.localdomain", "in /etc/hosts of old"),
    ("mdns", "printer.local", "RFC 6762"),
    ("cloud-internal", "metadata.google.internal", "a cloud's metadata by name"),
    ("home", "router.home.arpa", "RFC 8375"),
    ("onion", "hidden.onion", "RFC 7686"),
    ("one-label", "intranet", "completed by the resolver's search list"),
    ("percent-dots", "127%2e0%2e0%2e1", "decoded by one reader, not by another"),
    ("percent-digits", "%31%32%37.0.0.1", "the same"),
    ("percent-letters", "%6cocalhost", "the same"),
    ("percent-null", "127.0.0.1%00.pictures.example", "cut at the null by C"),
    ("underscore-first", "_dmarc.example", "no host has such a name"),
    ("hyphen-first", "-a.example", "no host has such a name"),
    ("label-too-long", f"{LONG}.example", "some cut it"),
    ("name-too-long", f"{'a.' * 126}example", "some cut it"),
    ("name-trailing-dot", "pictures.example.", "another name to cookies, certificates and filters"),
    ("comma", "127.0.0.1,pictures.example", "several hosts to some"),
    ("quote", "127.0.0.1'", "no letter of a name"),
    ("semicolon", "pictures.example;127.0.0.1", "no letter of a name"),
)

RESOLVED = [
    Try("to-loopback", "http://a.example:PORT/", "a public name of this machine", ("127.0.0.1",)),
    Try("to-v6-loopback", "http://a.example:PORT/", "the same", ("::1",)),
    Try("to-private", "http://a.example:PORT/", "of a network within", ("10.0.0.1",)),
    Try("to-metadata", "http://a.example:PORT/", "of a cloud", ("169.254.169.254",)),
    Try("to-mapped", "http://a.example:PORT/", "IPv4 inside", ("::ffff:127.0.0.1",)),
    Try("to-nat64", "http://a.example:PORT/", "IPv4 inside", ("64:ff9b::7f00:1",)),
    Try("to-6to4", "http://a.example:PORT/", "IPv4 inside", ("2002:7f00:1::",)),
    Try("to-zone", "http://a.example:PORT/", "a link's", ("fe80::1%lo",)),
    Try("to-zero", "http://a.example:PORT/", "this machine on Linux", ("0.0.0.0",)),
    Try("public-first", "http://a.example:PORT/", "one is good", ("93.184.216.34", "127.0.0.1")),
    Try("public-last", "http://a.example:PORT/", "one is good", ("127.0.0.1", "93.184.216.34")),
    Try("both-families", "http://a.example:PORT/", "one is good", ("93.184.216.34", "::1")),
    Try("odd-answer", "http://a.example:PORT/", "a resolver that gives no address", ("127.1",)),
    Try(
        "many-answers",
        "http://a.example:PORT/",
        "hides it among many",
        tuple(f"93.184.{n}.1" for n in range(65)),
    ),
]

USERINFO = [
    Try("user", "http://me@127.0.0.1:PORT/", "credentials"),
    Try("user-password", "http://me:secret@127.0.0.1:PORT/", "credentials"),
    Try("host-as-user", "http://pictures.example@127.0.0.1:PORT/", "looks like the first host"),
    Try("host-as-user-port", "http://pictures.example:80@127.0.0.1:PORT/", "the same"),
    Try("two-at-signs", "http://a@pictures.example@127.0.0.1:PORT/", "which one counts"),
    Try("address-as-user", "http://127.0.0.1:PORT@pictures.example/", "which one counts"),
    Try("empty-user", "http://@127.0.0.1:PORT/", "credentials of no letters"),
    Try("escaped-at", "http://pictures.example%40127.0.0.1:PORT/", "decoded by some"),
    Try("backslash-at", "http://pictures.example\\@127.0.0.1:PORT/", "a slash to browsers"),
    Try("slash-before-at", "http://127.0.0.1:PORT\\@pictures.example/", "a slash to browsers"),
]

PARSERS = [
    Try("backslashes", "http:\\\\127.0.0.1:PORT\\a.jpg", "slashes to browsers"),
    Try("one-slash", "http:/127.0.0.1:PORT/", "browsers add the other"),
    Try("no-slash", "http:127.0.0.1:PORT/", "browsers add both"),
    Try("three-slashes", "http:///127.0.0.1:PORT/", "browsers drop one"),
    Try("no-scheme", "//127.0.0.1:PORT/", "the scheme of somewhere else"),
    Try("bare", "127.0.0.1:PORT/", "commands add the scheme"),
    Try("leading-blank", " http://127.0.0.1:PORT/", "stripped by some"),
    Try("trailing-newline", "http://127.0.0.1:PORT/\n", "stripped by some"),
    Try("tab-inside", "http://127.0.\t0.1:PORT/", "dropped by browsers and by urllib"),
    Try("newline-in-scheme", "ht\ntp://127.0.0.1:PORT/", "dropped by browsers and by urllib"),
    Try("null", "http://pictures.example\x00.127.0.0.1:PORT/", "the end to C"),
    Try("header-injection", "http://pictures.example:PORT/a\r\nHost: 127.0.0.1", "a second host"),
    Try("blank-in-path", "http://pictures.example:PORT/a b HTTP/1.1", "the end of a request line"),
    Try("no-break-space", "http://127.0.0.1\xa0:PORT/", "a blank to some"),
    Try("lone-surrogate", "http://pictures.example\udc2f:PORT/", "no character"),
    Try("empty", "", "nothing"),
    Try("no-host", "http://:PORT/", "nothing"),
    Try("only-query", "http://?127.0.0.1:PORT", "nothing"),
    Try("too-long", "http://pictures.example:PORT/" + 8000 * "a", "some cut it"),
]

SCHEMES = [
    Try("file", "file:///etc/passwd", "a file of this machine"),
    Try("file-host", "file://127.0.0.1:PORT/etc/passwd", "the same"),
    Try("ftp", "ftp://127.0.0.1:PORT/a.jpg", "another protocol"),
    Try("gopher", "gopher://127.0.0.1:PORT/_GET%20/", "sends what one wants to any service"),
    Try("dict", "dict://127.0.0.1:PORT/d", "the same"),
    Try("ldap", "ldap://127.0.0.1:PORT/", "another protocol"),
    Try("data", "data:image/png;base64,AAAA", "no server"),
    Try("javascript", "javascript://127.0.0.1:PORT/%0aalert(1)", "runs in a page"),
    Try("unix", "http+unix://%2frun%2fdocker.sock/", "a socket of this machine"),
    Try("websocket", "ws://127.0.0.1:PORT/", "another protocol"),
    Try("long-s-scheme", "http\u017f://127.0.0.1:PORT/", "https to who folds cases"),
    Try("kelvin-scheme", "\u212attp://127.0.0.1:PORT/", "a letter that folds"),
]

PORTS = [
    Try("ssh", "http://93.184.216.34:22/", "a port of another service"),
    Try("redis", "http://93.184.216.34:6379/", "a port of another service"),
    Try("port-zero", "http://93.184.216.34:0/", "any port to the system"),
    Try("port-too-large", "http://93.184.216.34:65536/", "0 to who takes it modulo 65536"),
    Try("port-wraps", "http://93.184.216.34:65558/", "22 to who takes it modulo 65536"),
    Try("port-negative", "http://93.184.216.34:-1/", "no port"),
    Try("port-padded", "http://93.184.216.34:0080/", "octal to some"),
    Try("port-hex", "http://93.184.216.34:0x50/", "no port"),
    Try("port-empty", "http://93.184.216.34:/", "the scheme's port to some"),
    Try("port-full-width", "http://93.184.216.34:\uff18\uff10/", "int() of Python reads them"),
    Try("port-underscore", "http://93.184.216.34:8_0/", "int() of Python reads it"),
    Try("two-ports", "http://93.184.216.34:80:22/", "which one counts"),
    Try("port-plus", "http://93.184.216.34:+80/", "int() of Python reads it"),
]

TRIES = [*IPV4, *UNICODE, *IPV6, *NAMES, *RESOLVED, *USERINFO, *PARSERS, *SCHEMES, *PORTS]
