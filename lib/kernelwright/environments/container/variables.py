"""Which variables go into a container, beside what the image itself sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...model import Isolation

# a star stands for any ending
PASSED = (
    "SLURM_*", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL",
    "ZE_AFFINITY_MASK", "OMP_*", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM",
    "http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
    "SCRATCH", "WORK", "USER", "LOGNAME", "PYTHONNOUSERSITE", "KERNELWRIGHT_DIED", "KERNELWRIGHT_HOME_FULL",
)  # fmt: skip
OUTER_PATH = "${PATH}"


def isolation(isolation: Isolation) -> tuple[str, ...]:
    """What the recipe lets through besides."""
    asked = {"PYTHONPATH": isolation.pythonpath, "LD_LIBRARY_PATH": isolation.ld_library_path}
    return tuple(name for name, wanted in asked.items() if wanted)


def given(env: Mapping[str, str]) -> tuple[str, ...]:
    """The recipe's own variables, which launch.sh has set by then; PATH goes in otherwise."""
    return tuple(name for name in env if name != "PATH")


def paths(env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The recipe's PATH as the runtimes take it: `${PATH}` in it means the image's, never this node's."""
    value = env.get("PATH")
    if value is None:
        return ()
    before, mark, after = value.partition(OUTER_PATH)
    if not mark:
        return (("PATH", value),)
    found = (("PREPEND_PATH", before.rstrip(":")), ("APPEND_PATH", after.lstrip(":")))
    return tuple((name, folders) for name, folders in found if folders)
