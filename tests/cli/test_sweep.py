from pathlib import Path

import pytest

from poise.cli.main import run


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "name a space to start or, with --resume, a study to finish"),
        (["--resume"], "--resume: name the study to finish, or the file that it began with"),
        (["nowhere.yaml"], "nowhere.yaml: no such file"),
        (["a.yaml", "--name", "a/b"], "--name 'a/b': a name has at most 100 letters, digits, "
         "'.', '_' and '-'; it begins with a letter or a digit"),
        (["a.yaml", "--name", "artifacts"], "--name artifacts: {home} keeps something else under "
         "it; choose another"),
        (["--resume", "lost"], "--resume lost: {home} holds no such study; it holds none"),
        (["--extend", "lost", "seeds=[0,1]"], "--extend lost: {home} holds no such study; it holds "
         "none"),
        (["--extend", "a.yaml"], "--extend: name the study to add to, in addition to its file"),
        (["--extend", "--resume", "a"], "--extend also runs the trials that are left; leave "
         "--resume out"),
        (["--resume", "a", "b"], "--resume: one study at a time, not a and b"),
        (["a.yaml", "trials"], "command line: 'trials' is not of the form key=value"),
        (["a.yaml", "trails=2"], "command line: no option is called 'trails'; did you mean "
         "'trials'?"),
    ],
)  # fmt: skip
def test_what_cannot_be_swept_is_one_line_and_status_2(
    words: list[str],
    expected: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POISE_HOME", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    assert run(["sweep", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"error: {expected.format(home=tmp_path / 'runs')}\n"
    assert not (tmp_path / "runs").exists()
