# SPDX-License-Identifier: Apache-2.0
"""Parse a JSON document that lists objects, but of each object only the fields that are needed.

The objects stay slices of the bytes of the document, so those that are only passed on are neither parsed nor written.
``parse`` returns None for everything unusual, and the caller parses the document as any other.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypedDict

import msgspec

from trio2o.web.call import dump_json, parse_json

Item = dict[str, Any]
#: Gives a text in a field another value.
Replace = Callable[[str], str]

#: Number of decoders to keep: a client can sort by many fields.
_DECODERS = 128
#: An escape of a character that needs none, so that a name may be spelled in several ways.
_NEEDLESS_ESCAPE = re.compile(rb'\\u00[2-7]')
_decode = msgspec.json.Decoder().decode
_TEXT_OR_NULL = {str, type(None)}
#: What is between the name of a field and a text.
_COLON = re.compile(rb'\s*:\s*')


class Slice(dict[str, Any]):
    """Some fields of a JSON object.

    :ivar json: the object with all of its fields, as JSON; anything that has a buffer
    """

    __slots__ = ('json',)

    def __init__(self, fields: Item, json: Any) -> None:
        super().__init__(fields)
        self.json = json


def whole(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return an object with all of its fields; None if it has what Python cannot read, such as endless numbers."""
    return parse_json(bytes(item.json)) if isinstance(item, Slice) else item


def parse(
    body: bytes,
    collection: str,
    fields: frozenset[str],
    beside: frozenset[str],
    links: Sequence[tuple[bytes, bytes]],
    replace: Mapping[str, Replace],
) -> dict[str, Any] | None:
    """Parse a document with a list of objects; None if it is unusual, or no JSON object with such a list.

    :param collection: key of the list in the document; its objects are of type ``Slice``
    :param fields: names of the fields of the objects that these have
    :param beside: further keys of the document to read; others are left out
    :param links: texts to replace anywhere in what is read, and their replacements
    :param replace: those of the fields whose texts are replaced, unless they are empty
    """
    split, decode = _decoders(collection, fields, beside)
    try:
        if not body.isascii():
            body.decode()  # msgspec does not look at the bytes of texts that it skips
        parts = split(body)
        if collection not in parts:
            return None
        # Python searches many short texts much faster than a long one.
        slices = _with_links(parts.pop(collection), links)
        items = list(map(decode, slices))
        document = dict(zip(parts, map(_decode, _with_links(parts.values(), links)), strict=True))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    for name, function in replace.items():
        if not _replace(slices, items, name, function, b'\\' in body):
            return None
    document[collection] = list(map(Slice, items, slices))
    return document


def _with_links(texts: Iterable[msgspec.Raw], links: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    found = list(map(bytes, texts))
    for old, new in links:
        found = [text.replace(old, new) for text in found]
    return found


def dump(document: Mapping[str, Any], collection: str) -> bytes:
    """Serialize a document whose objects in a list may be of type ``Slice``."""
    items = document[collection]
    if not any(isinstance(item, Slice) for item in items):
        return dump_json(document)
    listed = b','.join([item.json if isinstance(item, Slice) else dump_json(item) for item in items])
    beside = {name: value for name, value in document.items() if name != collection}
    end = b',' + dump_json(beside)[1:] if beside else b'}'
    return b''.join((b'{', dump_json(collection), b':[', listed, b']', end))


@lru_cache(_DECODERS)
def _decoders(
    collection: str, fields: frozenset[str], beside: frozenset[str]
) -> tuple[Callable[[bytes], dict[str, Any]], Callable[[bytes], Item]]:
    """Return a function that splits a list into slices, one for each object, and one that reads fields of one."""
    typed: Any = TypedDict  # these have names that only a request knows
    split = typed('split', {**dict.fromkeys(beside, msgspec.Raw), collection: list[msgspec.Raw]}, total=False)
    item = typed('item', dict.fromkeys(fields, Any), total=False)
    return msgspec.json.Decoder(split).decode, msgspec.json.Decoder(item).decode


def _replace(slices: list[bytes], items: list[Item], name: str, function: Replace, may_be_escaped: bool) -> bool:
    """Replace the texts of a field in items and in their slices, in place.

    :param may_be_escaped: whether a slice may have a backslash
    :returns: False if the name may occur elsewhere in a slice, or may be spelled in another way, or a value is odd
    """
    having = [index for index, item in enumerate(items) if name in item]
    values = [items[index][name] for index in having]
    if not {*map(type, values)} <= _TEXT_OR_NULL:
        return False
    news = {value: function(value) for value in {*values} if value}
    news = {value: new for value, new in news.items() if new != value}
    if not news:
        return True
    key = dump_json(name)
    first = slices[having[0]]
    colon = _COLON.match(first, first.find(key) + len(key)) if key in first else None
    if colon is None:
        return False
    start = key + colon[0]
    written = {value: (start + dump_json(value), start + dump_json(new)) for value, new in news.items()}
    pairs = [written.get(item.get(name)) for item in items]
    done = [each.replace(*pair) if pair else each for each, pair in zip(slices, pairs, strict=True)]
    # Each slice spells it in this way, and has the name nowhere else.
    if {each.count(key) for each, pair in zip(slices, pairs, strict=True) if pair} != {1}:
        return False
    if sum(map(operator.eq, slices, done)) != pairs.count(None):
        return False
    if may_be_escaped and any(map(_NEEDLESS_ESCAPE.search, slices)):
        return False
    for item, pair in zip(items, pairs, strict=True):
        if pair:
            item[name] = news[item[name]]
    slices[:] = done
    return True
