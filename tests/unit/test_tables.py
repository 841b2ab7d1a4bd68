"""The networks package costs nothing until a network is built, and says what is missing."""

import re
import subprocess
import sys

import pytest

from faceproof import networks, tables
from faceproof.errors import MissingExtraError
from faceproof.installation import install_command


def test_importing_it_loads_no_torch():
    code = (
        "import sys, faceproof.networks as n; n.input_defaults('densenet121'); n.HeadSpec();"
        "print(sorted({'torch', 'timm', 'numpy', 'safetensors'} & set(sys.modules)))"
    )

    actual = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert actual.stdout == "[]\n"


@pytest.mark.parametrize("library", ["torch", "timm"])
def test_a_missing_library_names_the_extra(monkeypatch, library):
    monkeypatch.setattr(tables, "find_spec", lambda name: None if name == library else name)

    with pytest.raises(
        MissingExtraError, match=f"{library} .*{re.escape(install_command('train'))}"
    ):
        networks.build("densenet121")
    with pytest.raises(MissingExtraError):
        networks.build("resnet18")
