"""The tree says what is where, and attracts nothing that nobody owns."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
NOBODYS = {"utils", "util", "common", "helpers", "helper", "base", "misc", "shared"}


def modules() -> list[Path]:
    return [
        path
        for folder in ("schemas", "libs", "services", "cli", "sandbox", "bench", "tests")
        for path in (ROOT / folder).rglob("*.py")
        if ".venv" not in path.parts
    ]


def test_no_module_has_a_name_that_owns_nothing():
    assert [path for path in modules() if path.stem in NOBODYS] == []


def test_every_deployable_has_its_readme_and_its_image():
    for service in ("intake", "review-api", "dispatcher", "audit-sink"):
        for name in ("README.md", "Dockerfile", "pyproject.toml"):
            assert (ROOT / "services" / service / name).is_file(), f"{service}/{name}"


def test_faust_is_imported_in_one_file():
    importing = [p for p in modules() if "import faust" in p.read_text("utf-8")]
    assert [p.name for p in importing if "tests" not in p.parts] == ["app.py"]


def test_the_repository_names_no_registry_host():
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    assert "http://" not in lock
    assert "https://" not in lock
