"""Machine code that was compiled once, kept on disk and loaded without numba, whose import alone takes longer than most
kernels.

What is kept is an object file as numba makes it, behind a line of JSON: no pickle. Of the functions in it the one that
is called is numba's wrapper, which takes Python's objects, lets go of the interpreter's lock and calls the kernel. It
wants the C functions of numba's runtime, three extension modules that can be loaded alone.
"""

from __future__ import annotations

import builtins
import ctypes
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib import machinery, util
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite.binding as llvm

RUNTIME = ("numba._helperlib", "numba._dynfunc", "numba.core.runtime._nrt_python")
Call = Callable[[None, tuple[Any, ...], None], Any]


class Code(NamedTuple):
    """An object file, and of its symbols the function to call and the variable that holds numba's environment."""

    object: bytes
    call: str
    environment: str


@cache
def target() -> str:
    """What a kernel is compiled for and by, as text: the processor, Python, numba and LLVM."""
    features = llvm.get_host_cpu_features().flatten()
    versions = [(_folder(name) / "_version.py").read_text() for name in ("numba", "llvmlite")]
    return "\n".join([llvm.get_host_cpu_name(), features, str(sys.implementation.cache_tag), *versions])


def read(name: str, beside: Path, made: str) -> Code | None:
    """The code that was kept under that name if it was made from the same source for the same target, else None."""
    for folder in _folders(beside):
        with suppress(OSError, ValueError, KeyError, TypeError):
            header, _, code = (folder / name).read_bytes().partition(b"\n")
            said = json.loads(header)
            if said["made"] == made and said["sha256"] == hashlib.sha256(code).hexdigest():
                return Code(code, said["call"], said["environment"])
    return None


def keep(name: str, beside: Path, made: str, code: Code) -> None:
    """Write it to the first directory that can be written to, whole or not at all; nothing is kept where none can."""
    digest = hashlib.sha256(code.object).hexdigest()
    header = {"made": made, "sha256": digest, "call": code.call, "environment": code.environment}
    for folder in _folders(beside):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f".{name}.{os.getpid()}"
            try:
                part.write_bytes(json.dumps(header).encode() + b"\n" + code.object)
                part.replace(folder / name)
            finally:
                part.unlink(missing_ok=True)
            return


def _folders(beside: Path) -> Iterator[Path]:
    """Where code is kept: what RECLI_CACHE_DIR says; else beside the source as Python's own, or in the user's cache."""
    if given := os.environ.get("RECLI_CACHE_DIR"):
        yield Path(given)
        return
    yield beside / "__pycache__"
    with suppress(RuntimeError):  # a user without a home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "recli"


def load(code: Code) -> Call:
    """The function, to be called as ``call(None, arguments, None)``. It keeps what it needs alive."""
    environment = _runtime()("a kernel's")
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True, codemodel="jitdefault")
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)  # which takes the machine for its own
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.object))
    engine.finalize_object()
    place = ctypes.c_void_p.from_address(engine.get_global_value_address(code.environment))
    place.value = id(environment)
    kind = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    call: Any = kind(engine.get_function_address(code.call))
    call.alive = engine, environment
    return call  # type: ignore[no-any-return]


@cache
def _runtime() -> Callable[[Any], object]:
    """Tell LLVM where the C functions are that the wrapper calls; returns the type of its environment."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    helpers, functions, memory = (_extension(name) for name in RUNTIME)
    memory.memsys_use_cpython_allocator()
    symbols = {f"numba_{name}": at for module in (helpers, functions) for name, at in module.c_helpers.items()}
    for name, at in memory.c_helpers.items():
        symbols[name if name.startswith("_") else f"NRT_{name}"] = at
    # Of these the symbol is taken for the object itself, not for C's pointer to it.
    errors = (each for each in vars(builtins).values() if isinstance(each, type) and issubclass(each, BaseException))
    symbols |= {f"PyExc_{error.__name__}": id(error) for error in errors}
    symbols["_Py_NoneStruct"] = id(None)
    for name, at in symbols.items():
        llvm.add_symbol(name, at)
    environment: Callable[[Any], object] = functions.Environment
    return lambda name: environment({"__name__": name})


def _extension(name: str) -> Any:
    """A C module of numba's without the package around it."""
    if name in sys.modules:
        return sys.modules[name]
    _, *folders, file = name.split(".")
    folder = _folder("numba").joinpath(*folders)
    paths = (folder / (file + suffix) for suffix in machinery.EXTENSION_SUFFIXES)
    spec = util.spec_from_file_location(name, next(path for path in paths if path.exists()))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _folder(package: str) -> Path:
    spec = util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(package)
    return Path(spec.submodule_search_locations[0])
