"""Build llama.cpp's own server, once on a machine, from the source in llama-cpp-python's sdist.

    python -m tests.support.real_servers.build_llama_server

The program is kept outside the checkout; see `kept.py`. Where it cannot be built, the reason is
printed and kept in its place, and its tests are left out with that reason. It takes a C++ compiler,
10 to 15 minutes of two cores, and 1.5 GB of disk meanwhile.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from .kept import llama_server, pinned, why_left_out

OPTIONS = """
    -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF
    -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF
"""
CONVERTER = ("convert_hf_to_gguf.py", "conversion", "gguf-py")
"""What of the source makes a GGUF file of a model, and is kept beside the server."""


def run(*command: str | Path) -> None:
    """Run a command in this environment, whose programs come first."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*map(str, command)],
        env={**os.environ, "PATH": programs},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        shown = " ".join(map(str, command[:3]))
        raise RuntimeError(f"`{shown} ...` failed:\n{done.stdout[-1500:].strip()}")


def build(folder: Path, program: Path) -> None:
    """Build the server in a folder, and put it where it is kept."""
    version = pinned("llama-cpp-python")
    package = "llama-cpp-python"
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
    run(*pip, "--no-binary", package, "--dest", folder, f"{package}=={version}")
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    source = next(folder.glob("*/vendor/llama.cpp"))
    run("cmake", "-S", source, "-B", folder / "build", "-G", "Ninja", *OPTIONS.split())
    run("ninja", "-C", folder / "build", "llama-server")
    keep(source, folder / "build" / "bin" / "llama-server", program)


def keep(source: Path, built: Path, program: Path) -> None:
    """Put the converter and then the server where they are kept, complete or not at all."""
    converter = program.with_name(program.name + "-converter")
    shutil.rmtree(converter, ignore_errors=True)
    converter.mkdir(parents=True)
    for name in CONVERTER:
        copy = shutil.copytree if (source / name).is_dir() else shutil.copy2
        copy(source / name, converter / name)
    unfinished = program.with_name(program.name + ".unfinished")
    shutil.copy2(built, unfinished)
    unfinished.rename(program)


def main() -> None:
    """Build what is not there, or say why not."""
    program = llama_server()
    if program.exists():
        return
    program.parent.mkdir(parents=True, exist_ok=True)
    print(f"Building {program}: 10 to 15 minutes on two cores, once on this machine.", flush=True)
    try:
        with tempfile.TemporaryDirectory(dir=program.parent) as folder:
            build(Path(folder), program)
    except (OSError, RuntimeError) as error:
        why_left_out(program).write_text(str(error), encoding="utf-8")
        print(f"llama-server cannot be built here, its tests are left out: {error}")
    else:
        why_left_out(program).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
