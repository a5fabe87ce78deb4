"""Lines that people copy from web pages."""

from __future__ import annotations

import pytest

from kernelwright.environments.conda.pasted import read
from kernelwright.errors import UserError


@pytest.mark.parametrize(
    ("text", "conda", "pip", "channels"),
    [
        ("numpy\npandas", ["numpy", "pandas"], [], []),
        ("numpy pandas", ["numpy", "pandas"], [], []),
        ("numpy, pandas,scipy", ["numpy", "pandas", "scipy"], [], []),
        ("- numpy\n- pandas=2", ["numpy", "pandas=2"], [], []),
        ("numpy>=1.26,<2", ["numpy>=1.26,<2"], [], []),
        ("numpy >=1.26,<2", ["numpy >=1.26,<2"], [], []),
        ("python 3.12", ["python 3.12"], [], []),
        ("python=3.12", ["python=3.12"], [], []),
        ("python", ["python"], [], []),
        ("conda install numpy", ["numpy"], [], []),
        ("$ conda install -y -c conda-forge -c bioconda 'samtools>=1.20' numpy", ["samtools>=1.20", "numpy"], [], ["conda-forge", "bioconda"]),
        ("(base) $ mamba install --channel=nvidia/label/cuda-12.4 cuda", ["cuda"], [], ["nvidia/label/cuda-12.4"]),
        ("conda create -n foo python=3.11 numpy && conda activate foo", ["python=3.11", "numpy"], [], []),
        ("conda create --name foo \\\n  python=3.11 \\\n  r-base", ["python=3.11", "r-base"], [], []),
        ("!pip install --user seaborn", [], ["seaborn"], []),
        ("%pip install 'pandas[excel]==2.*' # for the course", [], ["pandas[excel]==2.*"], []),
        ("python -m pip install -U polars", [], ["polars"], []),
        ("uv pip install polars", [], ["polars"], []),
        ("%conda install -c conda-forge xarray", ["xarray"], [], ["conda-forge"]),
        ("conda-forge::gdal", ["conda-forge::gdal"], [], []),
        ("# only a comment\n\n", [], [], []),
        ("importlib-metadata; python_version < '3.8'", ["importlib-metadata; python_version < '3.8'"], [], []),
    ],
)  # fmt: skip
def test_understood(text, conda, pip, channels):
    found = read(text)
    assert (found.conda, found.pip, found.channels) == (conda, pip, channels)


@pytest.mark.parametrize(
    "text",
    [
        "conda install --file requirements.txt",
        "pip install -r requirements.txt",
        "pip install -e .",
        "conda install -c",
        "conda install 'numpy",
        "conda config --add channels x",
    ],
)
def test_refused_with_the_line(text):
    with pytest.raises(UserError) as caught:
        read("numpy\n" + text)
    assert caught.value.code == "packages-not-understood"
    assert "line 2" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["numpy; rm -rf ~", "$(reboot)", "`id`", "--channel=x numpy", "numpy\0", "😀", "a" * 100_000],
)
def test_hostile_lines_never_raise_anything_else(text):
    try:
        read(text)
    except UserError as error:
        assert error.code == "packages-not-understood"
