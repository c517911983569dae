"""Rules that a reader relies on: one name for one thing, types instead of strings, no attribute set from outside."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from runtime.common import vocabulary
from runtime.common.vocabulary import ImergRun, ModelKind, ProblemKind, Tier, Verdict

ROOT = Path(__file__).parents[1]
WORDS = {
    *(member.value for kind in (ImergRun, ModelKind, ProblemKind, Tier, Verdict) for member in kind),
    *(str(role) for role in (vocabulary.TODAY, vocabulary.RAIN_TODAY)),
}


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for package in ("runtime", "service", "training", "export"):
        for file in sorted((ROOT / package).rglob("*.py")):
            yield str(file.relative_to(ROOT)), ast.parse(file.read_text())


def test_no_class_or_function_name_stands_for_two_things() -> None:
    places = defaultdict(list)
    for name, module in _modules():
        for node in module.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                places[node.name].append(name)
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef) and node not in module.body:
                places[node.name].append(name)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_word_of_the_vocabulary_is_compared_as_a_bare_string() -> None:
    found = []
    for name, module in _modules():
        for node in ast.walk(module):
            parts = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                parts = node.args if node.func.attr in ("startswith", "removeprefix", "endswith") else []
            if isinstance(node, ast.Match):
                parts = [case.pattern for case in node.cases]
            words = [part.value for each in parts for part in ast.walk(each) if isinstance(part, ast.Constant)]
            if not name.endswith("vocabulary.py"):
                found += [f"{name}:{node.lineno} {word}" for word in words if word in WORDS]
    assert found == []


def test_nobody_sets_an_attribute_of_an_object_of_ours_from_outside() -> None:
    """Attributes of foreign objects, a NetCDF variable's units say, are set where a library wants it so."""
    foreign = {"raster"}
    ours, outside = set(), []
    for name, module in _modules():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                fields = [each.target for each in node.body if isinstance(each, ast.AnnAssign)]
                ours |= {field.id for field in fields if isinstance(field, ast.Name)}
            for target in _targets(node):
                if isinstance(target.value, ast.Name) and target.value.id in ("self", "cls"):
                    ours.add(target.attr)
                elif not (isinstance(target.value, ast.Name) and target.value.id in foreign):
                    outside.append((target.attr, f"{name}:{target.lineno} {ast.unparse(target)}"))
    assert [place for attribute, place in outside if attribute in ours] == []


def _targets(node: ast.AST) -> Iterator[ast.Attribute]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    for target in targets:
        for each in target.elts if isinstance(target, ast.Tuple) else [target]:
            if isinstance(each, ast.Attribute):
                yield each
