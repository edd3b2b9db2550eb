"""What a stream may put into the lists, dicts and records that it made: only more, and only under cheap keys."""

from __future__ import annotations

from aves_convert.pickles.records import Global, Record, preview

# Text hashes with a secret seed; numbers do not, so a stream could choose keys that all collide. Small
# ones at least have hashes of their own; large numbers, fractions and tuples can all be given the same one.
MAX_SMALL_INT_KEYS, MAX_OTHER_KEYS = 4096, 256


def extend(target: object, values: list[object]) -> None:
    """Add values to a list, or note them in a record. Raises ValueError for any other target."""
    if type(target) is list:
        target += values
    elif type(target) is Record:
        if target.values is None:
            target.values = []
        target.values += values
    else:
        raise ValueError(f"it would add to {preview(target)}, which is no list")


def set_all(target: object, items: list[object]) -> None:
    """Put alternating keys and values into a dict, or note them in a record. Raises ValueError for any other target."""
    if len(items) % 2:
        raise ValueError("a key without a value")
    if type(target) is dict:
        for index in range(0, len(items), 2):
            _set(target, items[index], items[index + 1])
    elif type(target) is Record:
        if target.items is None:
            target.items = []
        target.items += zip(items[::2], items[1::2], strict=True)
    else:
        raise ValueError(f"it would change {preview(target)}, which is no dict")


def set_state(target: object, state: object) -> None:
    """Note the attributes of an object that this stream made. Raises ValueError for any other, and the second time."""
    if type(target) is dict:
        return  # the attributes of an OrderedDict: a state dict has its versions there
    if type(target) is not Record:
        raise ValueError(f"it would change {preview(target)}, which was not made by this file")
    if target.state is not None:
        raise ValueError(f"it sets the state of {target.global_} twice")
    target.state = state


def _set(target: dict[object, object], key: object, value: object) -> None:
    """``target[key] = value`` for keys whose hash costs nothing and does nothing."""
    if type(key) is not str and type(key) is not bytes:
        if not _is_plain(key) and not (type(key) is tuple and len(key) <= 16 and all(map(_is_plain, key))):
            raise ValueError(f"a dict has the key {preview(key)}")
        limit = MAX_SMALL_INT_KEYS if isinstance(key, int) and abs(key) < 2**60 else MAX_OTHER_KEYS
        if len(target) >= limit:
            raise ValueError(f"a dict has more than {limit} entries that are not named by strings")
    if key in target:
        raise ValueError(f"a dict has the key {preview(key)} twice")
    target[key] = value


def _is_plain(key: object) -> bool:
    return key is None or type(key) in (str, bytes, int, float, bool, Global, Record)
