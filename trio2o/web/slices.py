# SPDX-License-Identifier: Apache-2.0
"""Parse a JSON document that lists objects, but of each object only the fields that are needed.

The objects stay slices of the bytes of the document, so those that are only passed on are neither parsed nor written.
``parse`` returns None for everything unusual, and the caller parses the document as any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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
    body: bytes, collection: str, fields: frozenset[str], beside: frozenset[str], replace: Mapping[str, Replace]
) -> dict[str, Any] | None:
    """Parse a document with a list of objects; None if it is unusual, or no JSON object with such a list.

    :param collection: key of the list in the document; its objects are of type ``Slice``
    :param fields: names of the fields of the objects that these have
    :param beside: further keys of the document to read; others are left out
    :param replace: those of the fields whose texts are replaced, unless they are empty
    """
    decode, split = _decoders(collection, fields, beside)
    try:
        if not body.isascii():
            body.decode()  # msgspec does not look at the bytes of texts that it skips
        document = decode(body)
        items = document.get(collection)
        if items is None:
            return None
        for name, function in replace.items():
            replaced = _replaced(body, items, name, function)
            if replaced is None:
                return None
            body = replaced
        document[collection] = list(map(Slice, items, split(body)[collection]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return document


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
) -> tuple[Callable[[bytes], dict[str, Any]], Callable[[bytes], dict[str, Any]]]:
    """Return a function that reads fields of the objects in a list, and one that returns the slice of each object."""
    typed: Any = TypedDict  # these have names that only a request knows
    item: Any = typed('item', dict.fromkeys(fields, Any), total=False)
    read = typed('read', {**dict.fromkeys(beside, Any), collection: list[item]}, total=False)
    sliced = typed('sliced', {collection: list[msgspec.Raw]}, total=False)
    return msgspec.json.Decoder(read).decode, msgspec.json.Decoder(sliced).decode


def _replaced(body: bytes, items: list[Item], name: str, function: Replace) -> bytes | None:
    """Replace the texts of a field in the items, in place, and in the bytes of the document, which are returned.

    :returns: None if the name occurs elsewhere in the document, or may be spelled in another way, or a value is odd
    """
    having = [item for item in items if name in item]
    values = [item[name] for item in having]
    if not {*map(type, values)} <= _TEXT_OR_NULL:
        return None
    news = {value: function(value) for value in {*values} if value}
    news = {value: new for value, new in news.items() if new != value}
    if not news:
        return body
    key = dump_json(name)
    # Each of the items spells the name in this way. If it occurs as often as there are items, it is nowhere else.
    # One byte is found much faster than several.
    if b'\\' in body and _NEEDLESS_ESCAPE.search(body):
        return None
    parts = body.split(key)
    colon = _COLON.match(parts[-1])
    if len(parts) != len(values) + 1 or colon is None:
        return None
    spelled = {value: colon[0] + dump_json(value) for value in news}
    written = {value: colon[0] + dump_json(new) for value, new in news.items()}
    for index, value in enumerate(values, 1):
        if value in news:
            if not parts[index].startswith(spelled[value]):
                return None
            parts[index] = written[value] + parts[index][len(spelled[value]) :]
            having[index - 1][name] = news[value]
    return key.join(parts)
