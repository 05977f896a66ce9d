"""DER as a tree that tests can bend: read strictly, change one length or add bytes anywhere, write again."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Element:
    """One element: either `children` or `content`. `form` is how its length is written, `trailing` what is added
    behind its content and counted in its length."""

    tag: int
    content: bytes = b""
    children: list[Element] = field(default_factory=list)
    form: str = "minimal"
    trailing: bytes = b""

    def write(self) -> bytes:
        """The element as bytes."""
        body = b"".join(child.write() for child in self.children) if self.children else self.content
        body += self.trailing
        if self.form == "indefinite":
            return bytes((self.tag, 0x80)) + body + b"\0\0"
        return bytes((self.tag,)) + self._length(len(body)) + body

    def _length(self, length: int) -> bytes:
        octets = (length.bit_length() + 7) // 8 if length > 127 else 0
        if self.form == "padded":  # one octet more than is needed
            return bytes((0x81 + octets,)) + length.to_bytes(octets + 1, "big")
        return bytes((0x80 | octets,)) + length.to_bytes(octets, "big") if octets else bytes((length,))

    def walk(self) -> list[Element]:
        """This element and all below it, parents first."""
        return [self, *(found for child in self.children for found in child.walk())]

    def child(self, *path: int) -> Element:
        """The element at this path of positions."""
        return self.children[path[0]].child(*path[1:]) if path else self


def read(data: bytes) -> Element:
    """Read one element and all that is constructed in it."""
    element, rest = _read(data)
    assert not rest
    return element


def _read(data: bytes) -> tuple[Element, bytes]:
    tag, length, at = data[0], data[1], 2
    if length >= 0x80:
        at += length & 0x7F
        length = int.from_bytes(data[2:at], "big")
    content, rest = data[at : at + length], data[at + length :]
    if not tag & 0x20:
        return Element(tag, content), rest
    element = Element(tag)
    while content:
        child, content = _read(content)
        element.children.append(child)
    return element, rest


def frame(certificate: Element) -> list[tuple[str, Element]]:
    """The elements of a certificate whose lengths a log is strict about: Certificate, TBSCertificate and its fields,
    the wrappers of extensions, and what follows the TBSCertificate."""
    tbs = certificate.child(0)
    found = [("certificate", certificate), ("tbs", tbs)]
    found += [(f"tbs field {at}", part) for at, part in enumerate(tbs.children)]
    found += [("algorithm", certificate.child(1)), ("signature", certificate.child(2))]
    if tbs.children[-1].tag == 0xA3:
        wrapper = tbs.children[-1].child(0)
        found.append(("extensions", wrapper))
        for at, extension in enumerate(wrapper.children):
            found.append((f"extension {at}", extension))
            found += [(f"extension {at} part {n}", part) for n, part in enumerate(extension.children)]
    return found
