"""Files that pretend to be a checkpoint, made here byte by byte: every trick that the reader must survive.

Each entry of ``HOSTILE_FILES`` has a name, its bytes and words of the message that it must end in. Those that could run
something would leave the file ``EXECUTED`` in the working directory.
"""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.support.pickle_bytes import (
    COMMAND,
    ORDERED_DICT,
    REBUILD,
    SYSTEM,
    Raw,
    built,
    checkpoint,
    name,
    new,
    opcodes,
    pickled,
    reduced,
    storage,
    tensor,
)
from tests.support.torch_file_bytes import (
    SIX_FLOATS,
    STORAGE,
    Entry,
    archive,
    data_pkl,
    legacy,
    torch_zip,
    with_entries,
    zip64,
)


# --- the table
@dataclass(frozen=True)
class HostileFile:
    """What the file is called in test reports, its bytes, and words that the message must have."""

    name: str
    make: Callable[[], bytes]
    says: str


def _in_checkpoint(payload: Raw) -> bytes:
    return torch_zip(checkpoint(extra_state=payload))


_THING = name("mine", "Thing")
_GETITEM = name("_operator", "getitem")


# Opcodes that can call something, each in a checkpoint that is valid otherwise.
PAYLOADS: dict[str, tuple[Raw, str]] = {
    "reduce": (reduced(SYSTEM, COMMAND), "posix.system('touch EXECUTED')"),
    "reduce_nt": (reduced(name("nt", "system"), COMMAND), "nt.system"),
    "inst": (Raw(b"(" + opcodes(COMMAND) + b"iposix\nsystem\n"), "posix.system('touch EXECUTED')"),
    "obj": (Raw(b"(" + SYSTEM.opcodes + opcodes(COMMAND) + b"o"), "posix.system('touch EXECUTED')"),
    "newobj": (Raw(SYSTEM.opcodes + opcodes((COMMAND,)) + b"\x81"), "posix.system('touch EXECUTED')"),
    "newobj_ex": (Raw(SYSTEM.opcodes + opcodes((COMMAND,)) + b"}\x92"), "posix.system('touch EXECUTED')"),
    "newobj_ex_kwargs": (
        Raw(name("subprocess", "Popen").opcodes + b")" + opcodes({"args": COMMAND, "shell": True}) + b"\x92"),
        "subprocess.Popen(args='touch EXECUTED', shell=True)",
    ),
    "stack_global": (Raw(opcodes("posix") + opcodes("system") + b"\x93" + opcodes((COMMAND,)) + b"R"), "posix.system"),
    "stack_global_dotted": (
        Raw(opcodes("torch") + opcodes("serialization.os.system") + b"\x93" + opcodes((COMMAND,)) + b"R"),
        "torch.serialization.os.system",
    ),
    "build_global": (built(name("torch.nn", "Module"), {"forward": SYSTEM}), "BUILD"),
    "build_setstate": (
        Raw(name("subprocess", "Popen").opcodes + b")\x81" + opcodes(COMMAND) + b"b"),
        "subprocess.Popen",
    ),
    "build_tensor": (built(tensor(), {"__class__": SYSTEM}), "BUILD"),
    "build_twice": (built(new(name("argparse", "Namespace"), {"a": 1}), {"b": 2}), "twice"),
    "setitem_global": (Raw(name("sys", "modules").opcodes + opcodes("torch") + b"Ns"), "sys.modules"),
    "append_global": (Raw(name("sys", "path").opcodes + opcodes("/tmp") + b"a"), "sys.path"),  # noqa: S108
    "additems_global": (Raw(name("sys", "path").opcodes + b"(" + opcodes("/tmp") + b"\x90"), "sys.path"),  # noqa: S108
    "call_result": (
        Raw(reduced(name("builtins", "getattr"), name("os", "x"), "system").opcodes + opcodes((COMMAND,)) + b"R"),
        "which is no class or function",
    ),
    "call_string": (Raw(opcodes("posix.system") + opcodes((COMMAND,)) + b"R"), "which is no class or function"),
    "ext1": (Raw(b"\x82\x01"), "EXT1"),
    "ext2": (Raw(b"\x83\x01\x00"), "EXT2"),
    "ext4": (Raw(b"\x84\x01\x00\x00\x00"), "EXT4"),
    "persid": (Raw(b"Pposix.system\n"), "PERSID"),
    "binpersid": (Raw(opcodes(("module", SYSTEM, COMMAND, "")) + b"Q"), "BINPERSID"),
    "next_buffer": (Raw(b"\x97"), "NEXT_BUFFER"),
    "readonly_buffer": (Raw(b"N\x98"), "READONLY_BUFFER"),
    "default_factory": (reduced(name("collections", "defaultdict"), SYSTEM), "posix.system()"),
    "reconstructor": (
        reduced(name("copy_reg", "_reconstructor"), name("subprocess", "Popen"), name("__builtin__", "object"), None),
        "subprocess.Popen",
    ),
    # what a harmless function is given may be called by it
    "reconstructor_base": (
        reduced(name("copyreg", "_reconstructor"), name("mine", "State"), name("subprocess", "Popen"), [COMMAND]),
        "subprocess.Popen([...])",
    ),
    "numpy_generator": (reduced(name("numpy.random._pickle", "__generator_ctor"), COMMAND, SYSTEM), "posix.system()"),
    "numpy_random_state": (
        reduced(name("numpy.random._pickle", "__randomstate_ctor"), COMMAND, SYSTEM),
        "posix.system()",
    ),
    "keyword": (
        Raw(name("mine", "State").opcodes + b")" + opcodes({"hook": SYSTEM}) + b"\x92"),
        "posix.system()",
    ),
    "rebuild_from_type": (
        reduced(name("torch._tensor", "_rebuild_from_type_v2"), SYSTEM, name("torch", "Tensor"), (COMMAND,), {}),
        "posix.system",
    ),
    "getitem_beyond_typing": (
        reduced(_GETITEM, name("typing", "sys.modules"), "os"),
        "_operator.getitem(typing.sys.modules, 'os')",
    ),
    "getitem": (
        Raw(
            b"](" + reduced(_GETITEM, name("typing", "Tuple"), 1).opcodes + reduced(_GETITEM, SYSTEM, 1).opcodes + b"e"
        ),
        "_operator.getitem(posix.system, 1)",
    ),
    "getitem_of_nothing": (reduced(_GETITEM), "than there is"),
    "reduce_of_or": (reduced(name("functools", "reduce"), SYSTEM, [COMMAND]), "functools.reduce(posix.system"),
    "python2_reduce": (reduced(name("__builtin__", "reduce"), SYSTEM, [COMMAND]), "functools.reduce(posix.system"),
    "type_with_arguments": (reduced(name("builtins", "type"), "Name", (), {}), "builtins.type('Name'"),
    "type_of_none_and_more": (reduced(name("builtins", "type"), None, (), {}), "builtins.type(None, "),
    "python2_module": (reduced(name("commands", "Popen"), COMMAND.split()), "subprocess.Popen([...])"),
    # what a class of a package is given tells more than its name
    "command_line": (reduced(_THING, COMMAND), "mine.Thing('touch EXECUTED')"),
    "command_words": (reduced(_THING, COMMAND.split()), "mine.Thing([...])"),
    "command_after_a_harmless_call": (
        Raw(b"](" + reduced(_THING, "one").opcodes + reduced(_THING, COMMAND).opcodes + b"e"),
        "mine.Thing('touch EXECUTED')",
    ),
    "command_in_bytes": (reduced(_THING, 1, Raw(b"](C\x02shC\x02-ce")), "mine.Thing(1, [...])"),
    "python2_builtin": (reduced(name("__builtin__", "eval"), "1"), "builtins.eval"),
    "python2_copy_reg": (reduced(name("copy_reg", "add_extension"), "os", "system", 1), "copyreg.add_extension"),
}


# Functions that others have used as a way in; none is part of a checkpoint.
GADGETS = (
    "builtins.eval",
    "builtins.exec",
    "builtins.compile",
    "builtins.__import__",
    "builtins.getattr",
    "builtins.open",
    "builtins.map",
    "builtins.type",
    "os.system",
    "os.popen",
    "os.execv",
    "subprocess.call",
    "subprocess.check_output",
    "pty.spawn",
    "runpy.run_path",
    "importlib.import_module",
    "pickle.loads",
    "marshal.loads",
    "types.FunctionType",
    "types.CodeType",
    "ctypes.CDLL",
    "timeit.timeit",
    "code.InteractiveInterpreter",
    "pdb.run",
    "bdb.Bdb",
    "cProfile.run",
    "psutil.Popen",
    "gevent.subprocess.Popen",
    "pexpect.popen_spawn.PopenSpawn",
    "paramiko.ProxyCommand",
    "ptyprocess.PtyProcess",
    "plumbum.machines.local.LocalCommand",
    "mine.ShellRunner",
    "mine.os.State",
    "cffi.CDLL",
    "doctest.debug_script",
    "webbrowser.open",
    "socket.socket",
    "shutil.rmtree",
    "tempfile.mktemp",
    "operator.attrgetter",
    "operator.methodcaller",
    "functools.reduce",
    "functools.partial",
    "itertools.starmap",
    "logging.config.listen",
    "asyncio.run",
    "multiprocessing.Process",
    "concurrent.futures.ThreadPoolExecutor",
    "torch.load",
    "torch.hub.load",
    "torch.storage._load_from_bytes",
    "torch.jit.load",
    "torch._utils_internal.load",
    "torch._utils2._rebuild_tensor_v2",
    "torch._utils._import_dotted_name",
    "torch._C.PyTorchFileWriter",
    "torch.distributed.TCPStore",
    "torch.package.PackageExporter",
    "torch.jit.CompilationUnit",
    "numpy.load",
    "numpy.core.multiarray.fromfile",
    "numpy.testing._private.utils.runstring",
    "numpy.f2py.crackfortran.myeval",
    "pip.main",
    "fairseq.utils.import_user_module",
    "omegaconf.omegaconf.register_resolver",
    "collections.namedtuple",
    "collections.abc.Callable",
    "copyreg.__newobj__",
)


# Names that look like those of torch and mean something else; where a tensor is needed they are none.
LOOKALIKES = {
    "space": ("torch._utils ", "_rebuild_tensor_v2", "wants to run"),
    "case": ("Torch._Utils", "_rebuild_tensor_v2", "wants to run"),
    "cyrillic": ("t\u043erch._utils", "_rebuild_tensor_v2", "wants to run"),
    "zero_width": ("torch._utils\u200b", "_rebuild_tensor_v2", "wants to run"),
    "sibling": ("torch._utils", "_rebuild_tensor_v22", "'mask_emb' is"),
    "dotted": ("torch", "_utils._rebuild_tensor_v2", "wants to run"),
    "class": ("torch._utils", "RebuildTensor", "wants to run"),
    "class_of_a_package": ("fairseq", "RebuildTensor", "'mask_emb' is"),
    "beyond": ("torch._utils", "_rebuild_tensor.__class__", "wants to run"),
    "beyond_a_package": ("mine.tools", "subprocess.Popen", "wants to run mine.tools.subprocess.Popen"),
    "carriage_return": ("torch._utils\r", "_rebuild_tensor_v2", "wants to run"),
}


UNTYPED = name("torch.storage", "UntypedStorage")


ODD_DTYPES = ("qint32", "quint8", "quint4x2", "bits8", "int4", "float4_e2m1fn_x2", "complex32")


def _third(stored: Raw, dtype: str = "float32") -> Raw:
    """Three elements of a storage that has no element type."""
    third, hooks = name("torch._utils", "_rebuild_tensor_v3"), ORDERED_DICT
    return reduced(third, stored, 0, (3,), (1,), False, hooks, name("torch", dtype))


# Tensors that claim what their storage of six float32 does not have.
TENSORS: dict[str, tuple[Raw, str]] = {
    "too_long": (tensor((7,), (1,)), "past the end of its storage"),
    "offset_past_end": (tensor((6,), (1,), 1), "past the end of its storage"),
    "stride_past_end": (tensor((2, 3), (4, 1)), "past the end of its storage"),
    "huge": (tensor((2**40, 2**40), (2**40, 1)), "past the end of its storage"),
    "overflow": (tensor((2**32, 2**32), (0, 0)), "impossible shape or stride"),
    "overflow_with_zero": (tensor((0, 2**61, 2**61), (1, 1, 1)), "impossible shape or stride"),
    "stride_overflow": (tensor((2, 2), (2**63, 1)), "impossible shape or stride"),
    "size_overflow": (tensor((2**64,), (1,)), "impossible shape or stride"),
    "negative_stride": (tensor((2, 3), (-3, 1), 5), "impossible shape or stride"),
    "negative_size": (tensor((-2, -3), (3, 1)), "impossible shape or stride"),
    "negative_offset": (tensor((2, 3), (3, 1), -1), "without shape, stride and offset"),
    "more_strides": (tensor((2, 3), (3, 1, 1)), "impossible shape or stride"),
    "float_size": (tensor((2.0, 3.0), (3, 1)), "impossible shape or stride"),
    "bool_size": (tensor((True, True), (1, 1)), "impossible shape or stride"),
    "list_size": (tensor([2, 3], [3, 1]), "without shape, stride and offset"),
    "65_dimensions": (tensor((1,) * 65, (1,) * 65), "impossible shape or stride"),
    "no_storage": (tensor(stored=SYSTEM), "without a storage"),
    "no_arguments": (reduced(REBUILD), "other arguments"),
    "conjugated": (reduced(REBUILD, storage(), 0, (6,), (1,), False, None, {"conj": True}), "metadata"),
    "missing_storage": (tensor(stored=storage("7")), "lacks the storage '7'"),
    "storage_traversal": (tensor(stored=storage("../version")), "lacks the storage"),
    "short_storage": (tensor(stored=storage(numel=7)), "has 24 bytes where 28 are claimed"),
    "short_double_storage": (tensor(stored=storage(cls=name("torch", "DoubleStorage"))), "24 bytes where 48"),
    "huge_storage": (tensor(stored=storage(numel=2**55)), "are claimed"),
    "overflowing_storage": (tensor(stored=storage(numel=2**64)), "without a name or a size"),
    "negative_storage": (tensor(stored=storage(numel=-1)), "without a name or a size"),
    "storage_by_text": (tensor(stored=storage(numel="6")), "without a name or a size"),
    "nameless_storage": (tensor(stored=storage(key=None)), "without a name or a size"),
    "long_name_storage": (tensor(stored=storage(key="0" * 1000)), "without a name or a size"),
    "unknown_storage": (tensor(stored=storage(cls=name("torch", "QInt8Storage"))), "'mask_emb' is"),
    "unknown_storage_of_a_size_of_its_own": (
        _third(storage(numel=7, cls=name("torch", "QInt8Storage"))),
        "'mask_emb' is",
    ),
    # read as what they are not, these end the process
    **{f"of_{kind}": (_third(storage(numel=24, cls=UNTYPED), kind), "'mask_emb' is") for kind in ODD_DTYPES},
    "parameter_of_nothing": (reduced(name("torch._utils", "_rebuild_parameter"), 1, True, None), "without a tensor"),
    "repeated": (tensor((2**40,), (0,)), "claim more bytes than the file has"),
    "a_string": (Raw(opcodes("tensor")), "'mask_emb' is"),
    "a_global": (SYSTEM, "'mask_emb' is"),
}


def _nested(opening: bytes, closing: bytes, depth: int) -> Raw:
    return Raw(opening * depth + b"N" + closing * depth)


# ((((...))), ...) where every level mentions the one below twice: 2**depth values in a few bytes.
_LAUGHS = Raw(
    b"]q\x00" + b"".join(b"0](h" + bytes([n]) + b"h" + bytes([n]) + b"eq" + bytes([n + 1]) for n in range(60))
)


_CONTAINS_ITSELF = Raw(b"}q\x00" + opcodes("model") + b"h\x00s")


def _references() -> dict[str, object]:
    """Settings in settings, each with a reference that names itself through all of them, and a list that repeats it."""
    reference = "${" + "model." * 30 + "x}"
    repeated = Raw(b"](" + opcodes(reference) + b"q\x00" + b"h\x00" * 2_000 + b"e")
    settings: dict[str, object] = {"x": reference, "task": {}, "model": {"all": repeated}}
    for _ in range(33):
        settings = {"x": reference, "task": {}, "model": settings}
    return settings


STREAMS: dict[str, tuple[object, str]] = {
    "settings_contain_themselves": (checkpoint(cfg=_CONTAINS_ITSELF), "unusable"),
    "settings_refer_to_each_other": (checkpoint(cfg=_references()), "refer to each other more often"),
    "settings_billion_laughs": (checkpoint(cfg={"model": {"a": _LAUGHS}}), "deeper or larger"),
    "settings_deep": (checkpoint(cfg={"model": {"a": _nested(b"](", b"e", 500)}}), "deeper or larger"),
    "duplicate_key": (checkpoint(extra_state=Raw(b"}(" + opcodes("a") * 2 + opcodes("a") * 2 + b"u")), "twice"),
    "list_as_key": (checkpoint(extra_state=Raw(b"}]Ns")), "has the key [...]"),
    "nested_tuple_as_key": (checkpoint(extra_state=Raw(b"}))\x86N\x86)\x86Ns")), "has the key (...)"),
    "tensor_as_key": (checkpoint(extra_state=Raw(b"}" + tensor().opcodes + b"Ns")), "has the key a LazyTensor"),
    "key_without_value": (checkpoint(extra_state=Raw(b"}(Nu")), "a key without a value"),
    "memo_far_away": (checkpoint(extra_state=Raw(b"Nr\xff\xff\xff\x7f")), "memo number 2147483647"),
    "memo_far_away_text": (checkpoint(extra_state=Raw(b"Np99999999999\n")), "memo number 99999999999"),
    "memo_negative": (checkpoint(extra_state=Raw(b"Np-1\n")), "negative memo number"),
    "memo_unknown": (checkpoint(extra_state=Raw(b"h\x09")), "memo number 9 was never stored"),
    "huge_long": (checkpoint(extra_state=Raw(b"\x8b" + struct.pack("<i", 300) + b"\xff" * 300)), "more digits"),
    "huge_long_text": (checkpoint(extra_state=Raw(b"L" + b"9" * 5000 + b"L\n")), "more digits"),
    "huge_int_text": (checkpoint(extra_state=Raw(b"I" + b"9" * 5000 + b"\n")), "more digits"),
    "huge_float_text": (checkpoint(extra_state=Raw(b"F" + b"9" * 5000 + b"\n")), "more digits"),
    "float_of_zeros": (checkpoint(extra_state=Raw(b"F" + b"\0" * 500 + b"\n")), "could not convert string to float"),
    "int_of_zeros": (checkpoint(extra_state=Raw(b"I" + b"\0" * 500 + b"\n")), "invalid literal"),
    "negative_length": (checkpoint(extra_state=Raw(b"\x8b\xff\xff\xff\xff")), "truncated"),
    "length_past_end": (checkpoint(extra_state=Raw(b"\x8e" + b"\xff" * 8)), "truncated"),
    "string_past_end": (checkpoint(extra_state=Raw(b"X\xff\xff\xff\x7f")), "truncated"),
    "long_global": (checkpoint(extra_state=name("m" * 1000, "n")), "too long"),
    "unknown_opcode": (checkpoint(extra_state=Raw(b"\xfe")), "0xfe"),
    "stack_underflow": (checkpoint(extra_state=Raw(b"0" * 50)), "than there is"),
    "mark_underflow": (checkpoint(extra_state=Raw(b"ttttttttttttt")), "than there is"),
    "protocol_9": (b"\x80\x09N.", "protocol 9"),
    "no_stop": (pickled(checkpoint())[:-1], "no STOP"),
    "only_stop": (b".", "than there is"),
    "empty": (b"", "truncated"),
    "model_is_a_call": (checkpoint(model=reduced(name("fairseq", "Model"))), "no fairseq checkpoint"),
    "root_is_a_list": ([1, 2, 3], "no fairseq checkpoint"),
    "root_is_a_string": ("checkpoint", "no fairseq checkpoint"),
    "root_is_a_record": (reduced(name("fairseq", "Model")), "no fairseq checkpoint"),
    "number_as_tensor_name": (checkpoint(model={1: tensor()}), "1 is a LazyTensor"),
    "storage_with_two_sizes": (
        checkpoint(model={"a": tensor(), "b": tensor((2,), (1,), stored=storage(numel=2))}),
        "two sizes",
    ),
    "long_names": (
        checkpoint(
            extra_state=[reduced(name("os", f"{index}" + "\0" * 400), *["\U0001f600" * 99] * 4) for index in range(9)]
        ),
        "and 6 more",
    ),
    "terminal_escapes": (
        checkpoint(extra_state=reduced(name("os", "\x1b[2Jsystem"), "\x1b[2J")),
        "run os.\\x1b[2Jsystem(",
    ),
}


_BOMB = zlib.compress(bytes(1 << 20))[2:-4]


def _nested_entry() -> bytes:
    """An archive in a storage, one of whose entries the outer directory lists as its own."""
    first = data_pkl(checkpoint())
    inner = 30 + len(first.name) + len(first.content) + 30 + len("archive/data/0")
    return archive(
        first,
        Entry("archive/data/0", archive(Entry("archive/inner", b"1234"))),
        Entry("archive/inner", b"1234", offset=inner, central_only=True),
    )


_SHARED = tensor((10_000,), (1,), stored=storage(numel=10_000))


_CONTAINER_LIES: dict[str, tuple[Callable[[], bytes], str]] = {
    "bomb_storage": (
        partial(archive, data_pkl(checkpoint()), Entry("archive/data/0", _BOMB, method=8, size=1 << 20)),
        "compressed",
    ),
    "bomb_elsewhere": (partial(with_entries, Entry("archive/x", _BOMB, method=8, size=1 << 20)), "compressed"),
    "unpacked_size": (partial(with_entries, Entry("archive/x", b"1234", size=1 << 30)), "compressed"),
    "encrypted": (partial(with_entries, Entry("archive/x", b"1234", flags=1)), "encrypted"),
    "duplicate_entry": (partial(with_entries, STORAGE), "two entries 'archive/data/0'"),
    # torch takes the first of these, whatever the case of its letters
    "duplicate_storage_in_capitals": (
        partial(archive, data_pkl(checkpoint()), Entry("archive/DATA/0", bytes(24)), STORAGE),
        "two entries 'archive/data/0'",
    ),
    "duplicate_pickle_in_capitals": (
        partial(archive, Entry("archive/DATA.PKL", pickled({})), data_pkl(checkpoint()), STORAGE),
        "two entries 'archive/data.pkl'",
    ),
    "overlapping_entries": (
        partial(with_entries, Entry("archive/data/0x", b"", packed=24, offset=30, local_name="", central_only=True)),
        "not where the directory says",
    ),
    "nested_entry": (_nested_entry, "overlap"),
    "absolute_name": (partial(with_entries, Entry("/etc/passwd", b"x")), "outside the archive"),
    "parent_name": (partial(with_entries, Entry("archive/../../x", b"x")), "outside the archive"),
    "backslash_name": (partial(with_entries, Entry("archive\\x", b"x")), "outside the archive"),
    "drive_name": (partial(with_entries, Entry("C:/x", b"x")), "outside the archive"),
    "nul_name": (partial(with_entries, Entry("archive/x\0y", b"x")), "outside the archive"),
    "escape_name": (partial(with_entries, Entry("archive/\x1b[2J", b"x")), "outside the archive"),
    "empty_name": (partial(with_entries, Entry("", b"x")), "outside the archive"),
    "other_local_name": (partial(with_entries, Entry("archive/x", b"x", local_name="archive/y")), "directory says"),
    "compressed_in_its_place": (partial(with_entries, Entry("archive/x", b"x", local_method=8)), "not stored as"),
    "encrypted_in_its_place": (partial(with_entries, Entry("archive/x", b"x", local_flags=1)), "not stored as"),
    "entry_past_end": (partial(with_entries, Entry("archive/x", b"x", packed=1 << 20, size=1 << 20)), "past the end"),
    "offset_past_end": (partial(with_entries, Entry("archive/x", b"x", offset=1 << 30)), "past the end"),
    "offset_into_directory": (partial(with_entries, Entry("archive/x", b"x", offset=0)), "directory says"),
    "count_too_high": (partial(with_entries, count=5), "past the end"),
    "count_too_low": (partial(with_entries, count=1), "something else than its entries"),
    "directory_too_long": (partial(with_entries, length=1 << 20), "past its end"),
    "directory_past_end": (partial(with_entries, begin=1 << 30), "past its end"),
    "several_disks": (partial(with_entries, disk=3), "one part of several"),
    "bytes_after_end": (lambda: with_entries() + b"more", "bytes follow"),
    "comment_too_long": (partial(with_entries, comment_length=7), "bytes follow"),
    "zip64_elsewhere": (partial(with_entries, before_end=partial(zip64, stop=0)), "zip64 directory"),
    "zip64_past_end": (partial(with_entries, before_end=partial(zip64, stop=2**63)), "past the end"),
    "zip64_many": (partial(with_entries, before_end=lambda _, *rest: zip64(2**40, *rest)), "more than 1000000"),
    "zip64_without_sizes": (partial(with_entries, Entry("archive/x", b"x", packed=0xFFFFFFFF)), "more than 4 GB"),
    "damaged_data_pkl": (lambda: archive(Entry("archive/data.pkl", pickled(checkpoint()), crc=1), STORAGE), "checksum"),
    "byte_order": (partial(with_entries, Entry("archive/byteorder", b"middle")), "byte order"),
    "one_storage_many_tensors": (
        lambda: archive(
            data_pkl(checkpoint(model={f"t{index}": _SHARED for index in range(300)})),
            Entry("archive/data/0", bytes(40_000)),
        ),
        "claim more bytes than the file has",
    ),
    "two_checkpoints": (partial(with_entries, Entry("other/data.pkl", b"N.")), "two checkpoints"),
    "no_data_pkl": (partial(archive, STORAGE), "no data.pkl"),
    "checkpoint_inside": (partial(archive, Entry("model/hubert.pt", b"x")), "unpack it first"),
    "odd_checkpoint_inside": (partial(archive, Entry("\x7f\u202e.pt", b"x")), r"contains \x7f\u202e.pt: unpack"),
    "torchscript": (partial(with_entries, Entry("archive/constants.pkl", b"N.")), "TorchScript"),
    "torchscript_code": (partial(with_entries, Entry("archive/code/model.py", b"")), "TorchScript"),
    "truncated_zip": (lambda: with_entries()[:-40], "the download is incomplete"),
    "only_zip_magic": (lambda: b"PK\x03\x04", "the download is incomplete"),
}


_LEGACY: dict[str, tuple[Callable[[], bytes], str]] = {
    "payload": (lambda: legacy(checkpoint(extra_state=reduced(SYSTEM, COMMAND))), "posix.system('touch EXECUTED')"),
    "payload_in_keys": (lambda: legacy(checkpoint(), keys=reduced(SYSTEM, COMMAND)), "list of storages is missing"),
    "payload_in_system": (lambda: legacy(checkpoint(), little_endian=reduced(SYSTEM, COMMAND)), "byte order"),
    "truncated_tensor": (lambda: legacy(checkpoint(), content=SIX_FLOATS[:-1]), "ends inside a tensor"),
    "truncated_keys": (lambda: legacy(checkpoint())[:-40], "truncated"),
    "other_numel": (lambda: legacy(checkpoint(), numel=7), "announced as 7"),
    "negative_numel": (lambda: legacy(checkpoint(), numel=-1), "announced as"),
    "missing_key": (lambda: legacy(checkpoint(), keys=()), "lacks the storage '0'"),
    "nested_keys": (
        lambda: legacy(checkpoint(), keys=Raw(b"]" * 100_000 + b"a" * 99_999)),
        "list of storages is missing",
    ),
    "unknown_key": (lambda: legacy(checkpoint(), keys=("1",)), "does not fit"),
    "key_twice": (lambda: legacy(checkpoint(), keys=("0", "0")), "does not fit"),
    "other_protocol": (lambda: legacy(checkpoint(), protocol=1000), "another protocol"),
    "protocol_payload": (lambda: legacy(checkpoint(), protocol=reduced(SYSTEM, COMMAND)), "another protocol"),
    "big_endian": (lambda: legacy(checkpoint(), little_endian=False), "byte order"),
    "other_magic": (lambda: legacy(checkpoint(), magic=7), "torch.save did not write"),
    "view_past_end": (
        lambda: legacy(checkpoint(model={"a": tensor(stored=_view(("v", 4, 6)))})),
        "past the end of the storage",
    ),
    "view_by_text": (lambda: legacy(checkpoint(model={"a": tensor(stored=_view("v"))})), "a view of a storage"),
    "quantised": (
        lambda: legacy(checkpoint(model={"a": tensor(stored=storage(cls=name("torch", "QInt8Storage")))})),
        "unknown element type",
    ),
}


def _view(view: object) -> Raw:
    return Raw(opcodes(("storage", name("torch", "FloatStorage"), "0", "cpu", 6, view)) + b"Q")


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("hubert.pt"))
    return out.getvalue()


def _safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}}).encode()
    return struct.pack("<Q", len(header)) + header + SIX_FLOATS


_FOREIGN: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is empty"),
    "html": (lambda: b"\n<!DOCTYPE html><html><body>Sign in to download</body></html>", "web page"),
    "html_with_mark": (lambda: b"\xef\xbb\xbf<HTML>", "web page"),
    "xml_error": (lambda: b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "web page"),
    "json": (lambda: b'{"error": "not found"}', "JSON"),
    "text": (lambda: b"Not Found", "text file"),
    "lfs": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
    "gzip": (lambda: b"\x1f\x8b\x08\x00" + bytes(20), "gunzip"),
    "tar": (_tar, "tar archive"),
    "safetensors": (_safetensors, "safetensors"),
    "zeros": (lambda: bytes(5000), "incomplete"),
    "noise": (lambda: bytes(range(255, 0, -1)) * 4, "torch.save did not write"),
    "truncated_pickle": (lambda: pickled(checkpoint(model={}))[:-9], "truncated pickle"),
    "plain_pickle": (lambda: pickled({"a": 1}), "torch.save did not write"),
    "plain_payload": (lambda: pickled(reduced(SYSTEM, COMMAND)), "posix.system('touch EXECUTED')"),
    "plain_payload_text": (lambda: b"cposix\nsystem\n(S'touch EXECUTED'\ntR.", "posix.system('touch EXECUTED')"),
    "plain_payload_truncated": (lambda: pickled([reduced(SYSTEM, COMMAND)])[:-2], "posix.system('touch EXECUTED')"),
}


def _table() -> list[HostileFile]:
    files = [HostileFile(f"payload_{key}", partial(_in_checkpoint, raw), says) for key, (raw, says) in PAYLOADS.items()]
    for gadget in GADGETS:
        module, _, function = gadget.rpartition(".")
        files.append(
            HostileFile(f"gadget_{gadget}", partial(_in_checkpoint, reduced(name(module, function), COMMAND)), gadget)
        )
    for key, (module, function, says) in LOOKALIKES.items():
        fake = reduced(name(module, function), storage(), 0, (2, 3), (3, 1), False, ORDERED_DICT)
        files.append(HostileFile(f"lookalike_{key}", partial(torch_zip, checkpoint(model={"mask_emb": fake})), says))
    for key, (raw, says) in TENSORS.items():
        files.append(HostileFile(f"tensor_{key}", partial(torch_zip, checkpoint(model={"mask_emb": raw})), says))
    files += [HostileFile(f"stream_{key}", partial(torch_zip, root), says) for key, (root, says) in STREAMS.items()]
    for kind, table in (("zip", _CONTAINER_LIES), ("legacy", _LEGACY), ("foreign", _FOREIGN)):
        files += [HostileFile(f"{kind}_{key}", make, says) for key, (make, says) in table.items()]
    return files


HOSTILE_FILES = tuple(_table())
