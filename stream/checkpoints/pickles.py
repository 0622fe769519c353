"""Objects to bytes and back, through an unpickler that admits only what estimators are made of.

The second wall: the first is the signature (signing.py), verified before anything comes here. A pickle is a program; what
it may call is listed here by name, found by pickling some 220 classes of River 0.26 and reading the globals
(``pickletools``). Prefixes are admitted only where every class behind them is harmless to construct; NumPy, whose
packages hold ways to run code, only by exact names. Of Headrace only what stands in River's chains is admitted, which keeps
plain values: our parts dump such values, and some of our other classes build code or import by dotted path. Read
snapshot.py next.
"""

import io
import pickle
from collections.abc import Iterable
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any, Final

from stream.errors import CheckpointError, Unverified

PROTOCOL: Final = 5
PICKLE_BYTES_MAX: Final = 4 << 30

RIVER: Final = "river"
OURS: Final = ("learners.calibration", "learners.fit", "learners.imbalance", "learners.losses", "learners.transformers")
_RIVER_REFUSED: Final = (
    # They read files and the network, run whole evaluations, or re-export.
    "river.api",
    "river.bandit.datasets",
    "river.checks",
    "river.datasets",
    "river.drift.datasets",
    "river.evaluate",
    "river.stream",
    "river.utils.pandas",
)
_NUMPY_TYPES: Final = "bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 str_ bytes_"
_EXACT: Final = frozenset(
    (module, name)
    for module, names in {
        "builtins": "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple "
        "abs len max min round sum",
        "collections": "ChainMap Counter OrderedDict defaultdict deque",
        "copy": "deepcopy",
        "copyreg": "_reconstructor __newobj__",
        "datetime": "date datetime time timedelta timezone",
        "decimal": "Decimal",
        "fractions": "Fraction",
        "functools": "partial",
        "math": "exp log log10 log2 sqrt",
        "random": "Random",
        "re": "_compile",
        "statistics": "NormalDist",
        "numpy": f"array dtype ndarray ones zeros {_NUMPY_TYPES}",
        "numpy._core.multiarray": "_reconstruct scalar",
        "numpy._core.numeric": "_frombuffer",
        "numpy.random._generator": "Generator",
        "numpy.random.mtrand": "RandomState",
        "numpy.random._mt19937": "MT19937",
        "numpy.random._pcg64": "PCG64 PCG64DXSM",
        "numpy.random._philox": "Philox",
        "numpy.random._sfc64": "SFC64",
        "numpy.random._pickle": "__bit_generator_ctor __generator_ctor __randomstate_ctor",
        "numpy.random.bit_generator": "SeedSequence __pyx_unpickle_SeedSequence",
    }.items()
    for name in names.split()
)
_METHOD_OWNERS: Final = frozenset(
    {("random", "Random"), ("numpy.random.mtrand", "RandomState"), ("numpy.random._generator", "Generator")}
)
_TEXT_METHODS: Final = frozenset({"casefold", "lower", "strip", "upper"})


def dumps(obj: object) -> bytes:
    """An object as a pickle of protocol 5. Raises CheckpointError saying what cannot be pickled."""
    try:
        return pickle.dumps(obj, protocol=PROTOCOL)
    except Exception as error:
        raise CheckpointError(
            f"{type(obj).__module__}.{type(obj).__qualname__} cannot be serialised: {type(error).__name__}: {error}",
            hint="a lambda, an open file or a lock in it? Use a function of a module instead",
        ) from error


def loads(data: bytes, admitted: Iterable[str] = (), *, bytes_max: int = PICKLE_BYTES_MAX) -> Any:
    """The object in a pickle that names only admitted globals.

    Parameters
    ----------
    data : bytes
        At most ``bytes_max``; more is refused unread.
    admitted : iterable of str
        Further module prefixes whole: a user's own modules. ``shop`` admits ``shop`` and ``shop.*``.

    Raises
    ------
    Unverified
        It names a global that is not admitted (which is named, and neither imported nor called), or is torn.
    """
    if len(data) > bytes_max:
        raise Unverified(f"a pickle of {len(data)} bytes is refused: more than {bytes_max}")
    try:
        return _Unpickler(io.BytesIO(data), frozenset(prefix.rstrip(".") for prefix in admitted)).load()
    except Unverified:
        raise
    except Exception as error:
        raise Unverified(f"a pickle cannot be read: {type(error).__name__}: {error}") from error


class _Unpickler(pickle.Unpickler):
    """The C unpickler, which asks here for every global."""

    def __init__(self, file: io.BytesIO, admitted: frozenset[str]) -> None:
        super().__init__(file)
        self._admitted = admitted

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) == ("builtins", "getattr"):
            return self._method
        if (module, name) == ("builtins", "iter"):
            return _iterate
        if (module, name) in _EXACT:
            return super().find_class(module, name)
        owner, dot, method = name.partition(".")
        found = self._global(module, owner, name)
        return self._function_of(found, method, module) if dot else found

    def _global(self, module: str, name: str, asked: str) -> Any:
        """A class or function that an admitted module defines itself."""
        if not self._is_open(module):
            raise _refused(module, asked)
        found = super().find_class(module, name)
        # What a module only imported is not its own: river.base.inspect, or a user's `from os import system`.
        home = getattr(found, "__module__", None)
        if isinstance(found, ModuleType) or not callable(found) or not isinstance(home, str) or not self._is_open(home):
            raise _refused(module, asked)
        return found

    def _function_of(self, owner: object, name: str, module: str) -> Any:
        """``Class.function`` by its dotted name, as River's regression trees keep a static method in an attribute.

        One dot, no private Python name, and only what the class's own body defines: dots are how a name walks from an
        admitted module to one that is not.
        """
        found = vars(owner).get(name) if isinstance(owner, type) else None
        function = found.__func__ if isinstance(found, staticmethod) else found
        if name.startswith("__") or not isinstance(function, FunctionType) or not self._is_open(function.__module__):
            raise _refused(module, f"{getattr(owner, '__name__', owner)}.{name}")
        return function

    def _is_open(self, module: str) -> bool:
        if _within(module, (RIVER,)):
            return not _within(module, _RIVER_REFUSED) and ".test_" not in module
        return _within(module, OURS) or _within(module, self._admitted)

    def _method(self, owner: object, name: str, default: object = None) -> object:
        """``getattr`` as pickles of bound methods use it: a method of an admitted object, and nothing else.

        River keeps ``self._test_both`` and ``partial(rng.gauss, 0, 1)`` in attributes; free ``getattr`` would lead from
        any object to any other.
        """
        if not isinstance(name, str) or name.startswith("__") or default is not None:
            raise _refused("builtins", f"getattr(..., {name!r})")
        if owner is str and name in _TEXT_METHODS:
            return getattr(owner, name)
        kind = owner if isinstance(owner, type) else type(owner)
        if self._is_open(kind.__module__) or (kind.__module__, kind.__qualname__) in _METHOD_OWNERS:
            found: object = getattr(owner, name)
            if isinstance(found, MethodType | BuiltinMethodType) and found.__self__ is owner:
                return found
        raise _refused("builtins", f"getattr({kind.__module__}.{kind.__qualname__}, {name!r})")


def _iterate(values: Iterable[object]) -> object:
    """``iter`` of one argument: the form with a sentinel calls its first."""
    return iter(values)


def _within(module: str, prefixes: Iterable[str]) -> bool:
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes)


def _refused(module: str, name: str) -> Unverified:
    return Unverified(
        f"a pickle names {module}.{name}, which is not admitted",
        hint=f"if it is yours and needed, admit its module: checkpoints: {{admit: [{module.partition('.')[0]}]}}",
    )
