# SPDX-License-Identifier: Apache-2.0
"""Names that the compiler sees only when sources are compiled together.

  check_names.py ROOT

1. Sources of a target that LODESTONE_UNITY may put side by side have no local
   name (in an unnamed namespace) twice; compiled_alone.cmake takes one away.
2. No two headers define a type of one name in one namespace: the linker would
   take one for the other without a word.
"""
import collections
import os
import re
import sys

FOLDERS = ("verify", "p2p", "inference", "cli", "tests")
CALL = re.compile(r"^\s*(add_library|add_executable|target_sources|"
                  r"lodestone_test)\(\s*(\w+)([^()]*(?:\([^()]*\)[^()]*)*)\)",
                  re.M)
TYPE = re.compile(r"(?:struct|class|enum class|enum)\s+(\w+)\b")
ALIAS = re.compile(r"using\s+(\w+)\s*=")
VALUE = re.compile(r"(?:constexpr|const|std::|thread_local|inline)\b[^(=]*?"
                   r"\b(\w+)(?:\[[^\]]*\])*\s*(?:=|\{)")
FUNCTION = re.compile(r"[^()=]*?\b(\w+)\(")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def files(root, suffix):
    for top in FOLDERS:
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith(suffix):
                    yield os.path.join(folder, name)


def targets(root):
    """Sources by target."""
    found = collections.defaultdict(list)
    for path in files(root, "CMakeLists.txt"):
        folder = os.path.dirname(path)
        for _, target, rest in CALL.findall(read(path)):
            for word in rest.split():
                source = os.path.join(folder, word)
                if word.endswith(".cc") and os.path.exists(source):
                    found[target].append(source)
    return found


def alone(root):
    """Sources that are compiled by themselves."""
    found = set()
    text = read(os.path.join(root, "compiled_alone.cmake"))
    lists = text[text.index("endfunction()"):]
    for folder, names in re.findall(r"compiled_alone\((\S+)\s([^)]*)\)", lists):
        found |= {os.path.join(root, folder, name) for name in names.split()}
    # CMake itself leaves those with options of their own alone.
    for path in files(root, "CMakeLists.txt"):
        for words in re.findall(r"set_source_files_properties\(([^)]*)\)",
                                read(path)):
            for word in words.split():
                name = word.replace("${CMAKE_CURRENT_SOURCE_DIR}/", "")
                if name.endswith(".cc"):
                    found.add(os.path.join(os.path.dirname(path), name))
    return found


def local_names(path):
    names = set()
    inside = False
    for line in read(path).split("\n"):
        if line.startswith("namespace {"):
            inside = True
        elif line.startswith("}  // namespace"):
            inside = False
        elif inside and line and line[0] not in " }#/\t)":
            for pattern in (TYPE, ALIAS, VALUE, FUNCTION):
                match = pattern.match(line)
                if match:
                    if not match.group(1).startswith(("TEST", "INSTANTIATE")):
                        names.add(match.group(1))
                    break
    return names


def header_types(path):
    space = None
    for line in read(path).split("\n"):
        match = re.match(r"namespace (\S+) \{", line)
        if match:
            space = match.group(1)
        match = TYPE.match(line)
        if match and space and not line.rstrip().endswith(";"):
            yield space, match.group(1)


def main(root):
    problems = []
    apart = alone(root)
    for target, sources in sorted(targets(root).items()):
        where = collections.defaultdict(list)
        for source in sources:
            if source in apart:
                continue
            for name in local_names(source):
                where[name].append(os.path.relpath(source, root))
        for name, places in sorted(where.items()):
            if len(places) > 1:
                problems.append(f"{target}: {name} is local to "
                                f"{' and '.join(sorted(places))}; put one into "
                                "compiled_alone.cmake")
    types = collections.defaultdict(list)
    for path in files(root, ".h"):
        for key in set(header_types(path)):
            types[key].append(os.path.relpath(path, root))
    for (space, name), places in sorted(types.items()):
        # What a class keeps to itself is defined as Name::Impl.
        if len(places) > 1 and not any("_impl" in place for place in places):
            problems.append(f"{space}::{name} is defined in "
                            f"{' and '.join(sorted(places))}")
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems with names")
    return 1 if problems else 0


sys.exit(main(sys.argv[1]))
