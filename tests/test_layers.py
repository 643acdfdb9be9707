"""Which packages import which: dependencies point one way."""

import ast
from pathlib import Path

import pytest

import smoothdino_jax

ROOT = Path(smoothdino_jax.__file__).parent
# What a package may import of the others. The modules above them (training, evaluation, stream, ...) and the apps are
# in nobody's list.
MAY_IMPORT = {
    "models": set(),
    "data": set(),
    "metrics": set(),
    "weights": {"models", "data"},
    "inspection": {"models", "data"},
    "evaluation": {"models", "data", "metrics", "interrupts"},
}


def imports(path: Path) -> set[str]:
    """What a file imports of this project, wherever in the file: "data.frames", "models"; "" for the project itself."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            # `from package import module` names the module only in the second half.
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    roots = [name.partition(".") for name in names]
    return {rest for root, _, rest in roots if root == "smoothdino_jax"}


def packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def test_imports_are_found_within_functions_too(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import numpy\nimport smoothdino_jax\nfrom smoothdino_jax import models\n"
        "def f():\n    from smoothdino_jax.data.frames import Frame\n"
    )
    assert imports(path) == {"", "models", "data.frames.Frame"}
    assert packages(ROOT / "inspection" / "frames.py") == {"data", "models"}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_is_below_it(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        assert packages(path) <= {package, *MAY_IMPORT[package]}, path


def test_only_apps_import_apps():
    files = [path for path in ROOT.rglob("*.py") if ROOT / "apps" not in path.parents and path.name != "__main__.py"]
    assert [path for path in files if "apps" in packages(path)] == []
