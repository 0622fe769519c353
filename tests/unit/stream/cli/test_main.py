import subprocess
import sys
from importlib.util import find_spec
from types import ModuleType

import pytest

from stream.cli import main as frame
from stream.cli.main import BROKEN_PIPE, INTERRUPTED, VERBS, Verb, main
from stream.errors import ConfigError, HeadraceError, OwnedOutside


def verb_that(monkeypatch: pytest.MonkeyPatch, outcome: object) -> None:
    """A verb `act` that returns or raises ``outcome``."""
    module = ModuleType("acting")

    def run(arguments: object) -> object:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    module.add_arguments = lambda parser: parser.add_argument("--word")  # type: ignore[attr-defined]
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "acting", module)
    monkeypatch.setitem(VERBS, "act", Verb("acting", "acts", "headrace act"))


@pytest.mark.parametrize("code", [0, 1])
def test_the_code_of_a_verb(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """A verb's answer is the exit code."""
    verb_that(monkeypatch, code)
    assert main(["act"]) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HeadraceError("x"), 1),
        (ConfigError("x"), 2),
        (OwnedOutside("x"), 75),
        (KeyboardInterrupt(), INTERRUPTED),
    ],
)
def test_the_code_of_an_error(monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int) -> None:
    """Each kind of error has its exit code."""
    verb_that(monkeypatch, error)
    assert main(["act"]) == code


def test_an_error_is_a_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An error prints what failed and what to do, without a traceback."""
    verb_that(monkeypatch, ConfigError("no such file", "headrace init writes one"))
    main(["act"])
    assert capsys.readouterr().err == "headrace: no such file\n  headrace init writes one\n"


def test_what_the_system_refuses_is_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file without permission, a directory in a file's place, a full disk: with the path, and without a traceback."""
    verb_that(monkeypatch, PermissionError(13, "Permission denied", "out/journal"))
    assert main(["act"]) == 1
    assert capsys.readouterr().err == "headrace: out/journal: Permission denied\n"


@pytest.mark.parametrize("argv", [["--debug", "act"], ["act", "--debug"]])
def test_debug_raises(monkeypatch: pytest.MonkeyPatch, argv: list[str]) -> None:
    """With `--debug`, before or after the verb, the traceback is shown."""
    verb_that(monkeypatch, ConfigError("x"))
    with pytest.raises(ConfigError):
        main(argv)


def test_a_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is not ours is never made to look like a message."""
    verb_that(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["act"])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["stats"], "there is no `stats`; did you mean `status`?"),
        (["xyzzy"], "there is no `xyzzy`; there are init"),
        (["act", "--wrod", "x"], "unrecognized arguments: --wrod"),
    ],
)
def test_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    """Wrong usage ends with 2 and names what is nearest."""
    verb_that(monkeypatch, 0)
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert (ended.value.code, said in capsys.readouterr().err) == (2, True)


def test_no_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a verb, the verbs are told."""
    assert (main([]), "checkpoints" in capsys.readouterr().err) == (2, True)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` names the version."""
    assert (main(["--version"]), capsys.readouterr().out.startswith("headrace ")) == (0, True)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`headrace VERB --help` says how it is called, with an example."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert (ended.value.code, f"headrace {name}" in capsys.readouterr().out) == (0, True)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_is_there(name: str) -> None:
    """The table names modules that exist."""
    assert find_spec(VERBS[name].module) is not None


def test_help_is_quick() -> None:
    """`headrace --help` imports none of the large libraries."""
    code = (
        "import sys\nfrom stream.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "sys.exit(' '.join({'numpy', 'river', 'pydantic', 'redis', 'kafka', 'msgspec'} & set(sys.modules)) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_reader_that_went_away() -> None:
    """`headrace … | head` ends quietly."""
    code = (
        "import sys, os\nfrom stream.cli import main as frame\nfrom types import ModuleType\n"
        "module = ModuleType('acting'); module.add_arguments = lambda parser: None\n"
        "def run(arguments):\n    for _ in range(100000): print('x' * 100)\n    return 0\n"
        "module.run = run; sys.modules['acting'] = module\n"
        "frame.VERBS['act'] = frame.Verb('acting', 'acts', '')\nsys.exit(frame.main(['act']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert (process.wait(60), said) == (BROKEN_PIPE, "")


def test_the_working_directory_is_searched_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Factories of the user's are found in the working directory, and shadow nothing."""
    verb_that(monkeypatch, 0)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in {"", frame.os.getcwd()}])
    main(["act"])
    assert sys.path[-1] == frame.os.getcwd()
