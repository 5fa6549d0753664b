# SPDX-License-Identifier: Apache-2.0
"""The units for systemd are understood by systemd."""
import os
import shutil
import subprocess

from harness import LODESTONE, SOURCE, Skip, check, equal, main, write


def test(box):
    if shutil.which("systemd-analyze") is None:
        raise Skip("no systemd-analyze")
    folder = os.path.join(SOURCE, "cli/systemd")
    for name, scope in (("lodestone-seed.service", "--system"),
                        ("lodestone-seed.user.service", "--user")):
        with open(os.path.join(folder, name + ".in")) as file:
            unit = file.read()
        marker = "@CMAKE_INSTALL_FULL_BINDIR@/lodestone"
        equal(unit.count(marker), 1, f"programs in {name}")
        unit = unit.replace(marker, LODESTONE)
        for line in ("Type=notify", "NoNewPrivileges=true",
                     "SystemCallFilter=@system-service"):
            check(line in unit.splitlines(), f"{name}: no {line}")
        path = box.path(scope.strip("-"), "lodestone-seed.service")
        write(path, unit.encode())
        run = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
             scope, path],
            env={**box.env, "XDG_RUNTIME_DIR": box.env["XDG_RUNTIME_DIR"]},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        ours = [line for line in run.stdout.splitlines()
                if "lodestone-seed.service" in line]
        equal(ours, [], f"systemd-analyze of {name}\n{run.stdout}")
        equal(run.returncode, 0, f"its exit code\n{run.stdout}")


main(test)
